package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

// server stands for "skein serve" on free ports.
type server struct {
	link, http string
	client     *http.Client
	stop       func()
}

func startServer() *server {
	dir, err := os.MkdirTemp("", "skein-example-")
	if err != nil {
		log.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data = filepath.Join(dir, "data")
	cfg.HTTP, cfg.Link, cfg.Ops = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	n, err := node.Start(context.Background(), cfg, node.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	hc := &http.Client{Transport: &http.Transport{}}
	return &server{
		link: "tcp://" + n.Addresses().Link, http: "http://" + n.Addresses().HTTP, client: hc,
		stop: func() {
			hc.CloseIdleConnections()
			if err := errors.Join(n.Stop(), os.RemoveAll(dir)); err != nil {
				log.Fatal(err)
			}
		},
	}
}

// befriend registers two users and makes them contacts.
func befriend(ctx context.Context, srv *server, a, b string) (tokenA, tokenB string, idA, idB client.UserID) {
	api := client.NewAPI(srv.http, "", srv.client)
	ra, err := api.Register(ctx, a, "correct horse", "example")
	if err != nil {
		log.Fatal(err)
	}
	rb, err := api.Register(ctx, b, "correct horse", "example")
	if err != nil {
		log.Fatal(err)
	}
	idA, idB = client.UserID(ra.GetUser()), client.UserID(rb.GetUser())
	if _, err := api.WithToken(ra.GetToken()).RequestContact(ctx, idB, ""); err != nil {
		log.Fatal(err)
	}
	// Two requests that cross make a friendship too.
	if _, err := api.WithToken(rb.GetToken()).RequestContact(ctx, idA, ""); err != nil {
		log.Fatal(err)
	}
	untilFriends(ctx, api.WithToken(ra.GetToken()))
	untilFriends(ctx, api.WithToken(rb.GetToken()))
	return ra.GetToken(), rb.GetToken(), idA, idB
}

// untilFriends waits for the friendship to appear in a user's timeline.
func untilFriends(ctx context.Context, api *client.API) {
	cursor := uint64(0)
	for {
		entries, _, err := api.Sync(ctx, &cursor, 0, 10*time.Second)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range entries {
			cursor = uint64(e.Seq)
			if e.Contact == client.ContactAccepted {
				return
			}
		}
	}
}

// Register a user over HTTP, then keep a link and receive what comes.
func ExampleDial() {
	srv := startServer()
	defer srv.stop()
	ctx := context.Background()
	alice, bob, _, bobID := befriend(ctx, srv, "alice", "bob")

	received := make(chan string)
	b, err := client.Dial(ctx, client.Options{
		Addr:  srv.link,
		Token: bob,
		OnEntry: func(_ *client.Client, e client.Entry) error {
			if e.Kind == client.Message {
				received <- string(e.Content.Body)
			}
			// Whoever keeps entries keeps them here: when this
			// returns, the server hears that they are stored.
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	a, err := client.Dial(ctx, client.Options{Addr: srv.link, Token: alice})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	receipt, err := a.SendText(ctx, bobID, "hello, bob")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("message", receipt.PairID, "is durable")
	fmt.Println("bob got:", <-received)
	// Output:
	// message 1 is durable
	// bob got: hello, bob
}

// Errors have kinds that are the same on the link and over HTTP.
func ExampleKindOf() {
	srv := startServer()
	defer srv.stop()
	ctx := context.Background()
	api := client.NewAPI(srv.http, "", srv.client)
	r, err := api.Register(ctx, "carol", "correct horse", "example")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(ctx, client.Options{Addr: srv.link, Token: r.GetToken()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, err = c.SendText(ctx, client.UserID(r.GetUser())+1, "hello, stranger")
	fmt.Println(client.KindOf(err) == client.NotContact)

	_, err = api.Login(ctx, "carol", "wrong password", "example")
	fmt.Println(client.KindOf(err) == client.Unauthenticated)
	// Output:
	// true
	// true
}

// Over HTTP alone: a long poll instead of a link.
func ExampleAPI_Sync() {
	srv := startServer()
	defer srv.stop()
	ctx := context.Background()
	alice, bob, aliceID, bobID := befriend(ctx, srv, "alice", "bob")

	api := client.NewAPI(srv.http, alice, srv.client)
	if _, err := api.Send(ctx, bobID, 1, client.Text("over HTTP")); err != nil {
		log.Fatal(err)
	}
	cursor := uint64(0)
	for done := false; !done; {
		entries, _, err := api.WithToken(bob).Sync(ctx, &cursor, 0, 10*time.Second)
		if err != nil {
			log.Fatal(err)
		}
		for _, e := range entries {
			cursor = uint64(e.Seq)
			if e.Kind == client.Message {
				fmt.Printf("from alice: %v, %s\n", e.Peer == aliceID, e.Content.Body)
				done = true
			}
		}
	}
	// Output:
	// from alice: true, over HTTP
}
