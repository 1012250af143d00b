package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

// crowd are users of two regions: user 2k+1 lives in east, user 2k+2 in west, and
// the two write to each other without pause.
type crowd struct {
	t       *testing.T
	pair    *pair
	talkers []*talker
	stop    chan struct{}
	sending sync.WaitGroup
	sent    atomic.Int64
}

// talker is one of them.
type talker struct {
	id, peer client.UserID
	c        *client.Client
	// said is how many messages were sent, heard how many have come, in order.
	said, heard atomic.Int64
	wrong       atomic.Pointer[string]
	// began is when each message was first tried to be sent, longest the longest
	// that the other one has waited for one of them since it was last asked.
	mu      sync.Mutex
	began   []time.Time
	longest time.Duration
}

// newCrowd provisions 2n users and connects them.
func newCrowd(t *testing.T, p *pair, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, pair: p, stop: make(chan struct{})}
	for i := range n {
		east, west := client.UserID(2*i+1), client.UserID(2*i+2)
		c.join(east, west, p.east)
		c.join(west, east, p.west)
	}
	return c
}

func (c *crowd) join(id, peer client.UserID, s *server) {
	c.t.Helper()
	secret, err := account.NewSecret(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	operator, err := os.ReadFile(filepath.Join(s.Data, "operator.token"))
	if err != nil {
		c.t.Fatal(err)
	}
	hash := secret.Hash()
	err = call(s.HTTP, strings.TrimSpace(string(operator)), "AdminService/Provision", map[string]any{"users": []any{map[string]any{
		"user": fmt.Sprint(id), "friends": []string{fmt.Sprint(peer)}, "tokenHashes": []string{base64.StdEncoding.EncodeToString(hash[:])},
	}}}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	cursor := uint64(0)
	conn, err := client.Dial(testContext(c.t), client.Options{
		Addr: "tcp://" + s.Link, Token: account.Token(im.UserID(id), 1, secret), Cursor: &cursor,
		Backoff: client.Backoff{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	c.talkers = append(c.talkers, &talker{id: id, peer: peer, c: conn})
}

// begin makes everybody talk and listen.
func (c *crowd) begin() {
	for i, one := range c.talkers {
		c.sending.Go(func() { c.talk(one) })
		go one.listen(c.talkers[i^1])
	}
}

// longest is the longest that anybody has waited for a message since the last
// call.
func (c *crowd) longest() (most time.Duration) {
	for _, one := range c.talkers {
		one.mu.Lock()
		most, one.longest = max(most, one.longest), 0
		one.mu.Unlock()
	}
	return most.Round(time.Millisecond)
}

// begins notes that a message is to be sent, arrives that it has come.
func (o *talker) begins(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if int64(len(o.began)) < n {
		o.began = append(o.began, time.Now())
	}
}

func (o *talker) arrives(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.longest = max(o.longest, time.Since(o.began[n-1]))
}

func (c *crowd) talk(one *talker) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		one.begins(one.said.Load() + 1)
		if _, err := one.c.SendText(testContext(c.t), one.peer, fmt.Sprint(one.said.Load()+1)); err != nil {
			if client.KindOf(err) == client.Busy {
				continue
			}
			one.complain("a send failed: %v", err)
			return
		}
		one.said.Add(1)
		c.sent.Add(1)
	}
}

func (o *talker) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	o.wrong.CompareAndSwap(nil, &text)
}

// listen checks that what comes is what was sent, once and in order.
func (o *talker) listen(from *talker) {
	for e := range o.c.Entries() {
		if e.Kind != client.Message || e.Outgoing {
			continue
		}
		want := fmt.Sprint(o.heard.Load() + 1)
		if e.Peer != o.peer || !bytes.Equal(e.Content.Body, []byte(want)) {
			o.complain("user %d got %q from user %d instead of %s", o.id, e.Content.Body, e.Peer, want)
			return
		}
		from.arrives(o.heard.Add(1))
	}
}

// more waits until so many more messages were sent.
func (c *crowd) more(n int64) {
	c.t.Helper()
	c.until("messages are sent", func() bool { return false }, c.sent.Load()+n)
}

// until waits for something, or until enough was sent.
func (c *crowd) until(what string, ok func() bool, sent int64) {
	c.t.Helper()
	for ctx := testContext(c.t); !ok() && (sent == 0 || c.sent.Load() < sent); {
		for _, one := range c.talkers {
			if text := one.wrong.Load(); text != nil {
				c.t.Fatal(*text)
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			for _, one := range c.talkers {
				c.t.Logf("user %d said %d, heard %d", one.id, one.said.Load(), one.heard.Load())
			}
			c.t.Fatalf("it does not happen that %s", what)
		}
	}
}

// end stops everybody and waits until all has arrived.
func (c *crowd) end() {
	c.t.Helper()
	close(c.stop)
	c.sending.Wait()
	c.until("everything arrives", func() bool {
		for i, one := range c.talkers {
			if one.said.Load() != c.talkers[i^1].heard.Load() {
				return false
			}
		}
		return true
	}, 0)
	c.t.Logf("%d messages, each arrived once and in order", c.sent.Load())
}

// gap is a way between relays that can be closed.
type gap struct {
	addr  string
	mu    sync.Mutex
	conns []net.Conn
	// shut: nothing is let through; off: connections are refused too.
	shut, off bool
	opened    *sync.Cond
}

func newGap(t *testing.T, target string) *gap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gap{addr: ln.Addr().String()}
	g.opened = sync.NewCond(&g.mu)
	t.Cleanup(func() {
		ln.Close()
		g.set(false, true)
	})
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil || !g.keep(in, out) {
				in.Close()
				continue
			}
			go g.pipe(in, out)
			go g.pipe(out, in)
		}
	}()
	return g
}

func (g *gap) keep(in, out net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.off {
		out.Close()
		return false
	}
	g.conns = append(g.conns, in, out)
	return true
}

func (g *gap) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		g.mu.Lock()
		for g.shut {
			g.opened.Wait()
		}
		g.mu.Unlock()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// set opens or closes the way; off ends connections, too.
func (g *gap) set(shut, off bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.off = shut, off
	g.opened.Broadcast()
	if off {
		for _, c := range g.conns {
			c.Close()
		}
		g.conns = nil
	}
}

// While regions are cut off from each other, in silence or with refusals,
// everybody goes on writing; when they are not any more, everything arrives.
func TestRegionsCutOff(t *testing.T) {
	t.Parallel()
	var gaps []*gap
	via := func(relay string) string {
		gaps = append(gaps, newGap(t, relay))
		return gaps[len(gaps)-1].addr
	}
	c := newCrowd(t, startPair(t, via, via), 10)
	c.begin()
	set := func(shut, off bool) {
		for _, g := range gaps {
			g.set(shut, off)
		}
		c.more(1000)
	}
	c.more(500)
	set(true, false)
	set(false, false)
	set(false, true)
	set(false, false)
	set(true, false)
	set(false, true)
	set(false, false)
	c.end()
}

// Regions die in the middle of it, in turn.
func TestRegionDies(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	c := newCrowd(t, p, 10)
	c.begin()
	for i := range 4 {
		c.more(500)
		if name := []string{"west", "east"}[i%2]; name == "west" {
			p.west.kill()
			p.west = startNode(t, append(p.args[name], p.west.fixed()...)...)
		} else {
			p.east.kill()
			p.east = startNode(t, append(p.args[name], p.east.fixed()...)...)
		}
	}
	c.end()
}

// Users move to the other region and back while they and their friends write;
// a region dies meanwhile.
func TestMoveDuringChat(t *testing.T) {
	t.Parallel()
	p := startPair(t, nil, nil)
	c := newCrowd(t, p, 10)
	c.begin()
	for user := 1; user <= 7; user += 2 {
		c.more(50)
		move(t, p.east, fmt.Sprint(user), "west")
	}
	p.west.kill()
	p.west = startNode(t, append(p.args["west"], p.west.fixed()...)...)
	for user := 1; user <= 7; user += 2 {
		c.more(50)
		move(t, p.west, fmt.Sprint(user), "east")
	}
	c.end()
}
