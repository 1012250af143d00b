package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/skein-im/skein/client"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

const (
	rushers   = 500
	rushCents = 123_457
)

// rush is 500 friends of somebody, with a connection each. The giver's number
// is 1, theirs follow.
type rush struct {
	t      *testing.T
	server *server
	bearer connect.ClientOption
	giver  *client.Client
	crowd  []*client.Client
}

// 500 users open an envelope of 500 shares at once, over clients, gateways and
// mailbox: each gets one share, and together they get every cent. How long the
// answers take is logged.
func TestRush(t *testing.T) {
	inShapes(t, []string{together, "two processes and workers", apart}, setup{}, func(t *testing.T, p *product) {
		r := gatherRush(t, p.server)
		envelope := r.send()
		shares, took := r.open(envelope)
		again, _ := r.open(envelope)
		if !slices.Equal(shares, again) {
			t.Error("those who open again get something else")
		}
		r.check(envelope, shares)
		slices.Sort(took)
		t.Logf("%d answers: p50 %v, p99 %v, the last one after %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	})
}

func gatherRush(t *testing.T, s *server) *rush {
	token, err := os.ReadFile(filepath.Join(s.Data, account.OperatorTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	bearer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			return next(ctx, req)
		}
	})
	r := &rush{t: t, server: s, bearer: connect.WithInterceptors(bearer)}
	r.connect(r.provision())
	return r
}

// provision makes the users, and returns their tokens.
func (r *rush) provision() (tokens []string) {
	r.t.Helper()
	var everybody []uint64
	req := &skeinv1.ProvisionRequest{}
	for id := uint64(1); id <= 1+rushers; id++ {
		var secret account.Secret
		_, _ = rand.Read(secret[:])
		hash := secret.Hash()
		tokens = append(tokens, account.Token(im.UserID(id), 1, secret))
		req.Users = append(req.Users, &skeinv1.ProvisionUser{User: id, Friends: []uint64{1}, TokenHashes: [][]byte{hash[:]}})
		everybody = append(everybody, id)
	}
	req.Users[0].Friends = everybody[1:]
	admin := skeinv1connect.NewAdminServiceClient(web, "http://"+r.server.HTTP, r.bearer)
	if _, err := admin.Provision(testContext(r.t), connect.NewRequest(req)); err != nil {
		r.t.Fatal(err)
	}
	return tokens
}

func (r *rush) connect(tokens []string) {
	r.t.Helper()
	clients := make([]*client.Client, len(tokens))
	r.all(len(tokens), func(i int) (err error) {
		cursor := uint64(0)
		clients[i], err = client.Dial(testContext(r.t), client.Options{Addr: "tcp://" + r.server.Link, Token: tokens[i], Cursor: &cursor})
		return err
	})
	for _, c := range clients {
		r.t.Cleanup(func() { c.Close() })
	}
	r.giver, r.crowd = clients[0], clients[1:]
}

// all does something n times at once.
func (r *rush) all(n int, do func(int) error) {
	r.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = do(i)
		})
	}
	close(begin)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			r.t.Fatalf("user %d: %v", i, err)
		}
	}
}

// send has the giver send an envelope, and everybody see it.
func (r *rush) send() (envelope uint64) {
	r.t.Helper()
	treasury := skeinv1connect.NewTreasuryServiceClient(web, "http://"+r.server.HTTP, r.bearer)
	if _, err := treasury.TopUp(testContext(r.t), connect.NewRequest(&skeinv1.TopUpRequest{Reference: "rush", User: 1, Cents: rushCents})); err != nil {
		r.t.Fatal(err)
	}
	wantMoney(r.t, r.giver, client.ToppedUp, rushCents)
	e := client.Envelope{Total: rushCents, Shares: rushers, Rule: client.SplitRandom}
	for id := client.UserID(2); id < 2+rushers; id++ {
		e.To = append(e.To, id)
	}
	sent, err := r.giver.SendEnvelope(testContext(r.t), client.NewKey(), e)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range r.crowd {
		if got := wantMoney(r.t, c, client.EnvelopeReceived, 0); got.Money.Ref != sent.Envelope {
			r.t.Fatalf("got envelope %d, not %d", got.Money.Ref, sent.Envelope)
		}
	}
	return sent.Envelope
}

// open opens the envelope for everybody at once, and says what each got and
// after how long.
func (r *rush) open(envelope uint64) (shares []client.Cents, took []time.Duration) {
	r.t.Helper()
	shares, took = make([]client.Cents, rushers), make([]time.Duration, rushers)
	ctx := testContext(r.t)
	r.all(rushers, func(i int) (err error) {
		began := time.Now()
		shares[i], err = patiently(ctx, func() (client.Cents, error) { return r.crowd[i].OpenEnvelope(ctx, envelope) })
		took[i] = time.Since(began)
		return err
	})
	return shares, took
}

// patiently comes back when a server that has too much to do says so, or did not
// answer in time.
func patiently[R any](ctx context.Context, ask func() (R, error)) (R, error) {
	for {
		res, err := ask()
		var busy *client.Error
		if !errors.As(err, &busy) || !busy.Kind.Temporary() {
			return res, err
		}
		select {
		case <-time.After(max(50*time.Millisecond, time.Duration(busy.RetryAfterMS)*time.Millisecond)):
		case <-ctx.Done():
			return res, err
		}
	}
}

// check holds what everybody was told against the envelope, and their wallets
// against both.
func (r *rush) check(envelope uint64, shares []client.Cents) {
	t := r.t
	t.Helper()
	info, err := r.giver.EnvelopeInfo(testContext(t), envelope)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Openings) != rushers || !info.Finished || info.Returned != 0 {
		t.Errorf("%d openings, finished %v, %d returned", len(info.Openings), info.Finished, info.Returned)
	}
	opened, sum := map[uint64]client.Cents{}, client.Cents(0)
	for _, o := range info.Openings {
		opened[o.User] = client.Cents(o.Cents)
	}
	for i, cents := range shares {
		sum += cents
		if user := uint64(i + 2); cents < 1 || opened[user] != cents {
			t.Errorf("user %d was told %d cents; the envelope says %d", user, cents, opened[user])
		}
		wantMoney(t, r.crowd[i], client.EnvelopeOpened, cents)
		if balance, err := r.crowd[i].Balance(testContext(t)); err != nil || balance != cents {
			t.Errorf("a wallet has %d cents, not %d: %v", balance, cents, err)
		}
	}
	if sum != rushCents {
		t.Errorf("%d cents were opened, not %d", sum, rushCents)
	}
}
