package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority makes the credentials of tests.
type authority struct {
	t   *testing.T
	ca  *Authority
	pem []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca, pem, _, err := NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, ca, pem}
}

func (a *authority) credentials(r im.Region) *Credentials {
	a.t.Helper()
	cert, key, err := a.ca.Issue(r, time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := newCredentials(pair, a.pem)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// end is a relay, and what it has got.
type end struct {
	*Relay
	got    chan entity.Message
	nudges chan Debt
}

// message is number n from user 1 to user 2.
func message(n int) *entity.Message {
	return &entity.Message{From: im.User(1), To: im.User(2), Seq: im.LinkSeq(n),
		Body: entity.Body{Kind: entity.BodyMessage, Content: im.Content{Type: im.ContentText, Body: fmt.Appendf(nil, "message %d", n)}}}
}

func (a *authority) relay(region im.Region, listen string, peers map[im.Region]string, tweak ...func(*Config)) *end {
	a.t.Helper()
	e := &end{got: make(chan entity.Message, 1<<16), nudges: make(chan Debt, 1<<10)}
	cfg := Config{
		Region: region, Peers: map[im.Region][]string{}, Listen: listen, Credentials: a.credentials(region), Logger: slog.New(slog.DiscardHandler),
		Places:  Places{Links: []string{string(region) + ":1"}},
		Deliver: func(_ im.Region, m *entity.Message, _ uint8) { e.got <- *m },
		Nudge:   func(from, to im.Addr) { e.nudges <- Debt{from, to} },
	}
	for name, addrs := range peers {
		cfg.Peers[name] = strings.Split(addrs, "|")
	}
	for _, f := range tweak {
		f(&cfg)
	}
	var err error
	if e.Relay, err = New(cfg); err != nil {
		a.t.Fatal(err)
	}
	e.Start()
	a.t.Cleanup(e.Stop)
	return e
}

func wait[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience.Limit):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestMessagesArriveInBatches(t *testing.T) {
	a := newAuthority(t)
	east, west := free(t), free(t)
	e := a.relay("east", east, map[im.Region]string{"west": west}, func(c *Config) { c.Grace = time.Minute })
	const n = 5000
	for i := range n {
		e.Send("west", message(i+1), 0)
	}
	w := a.relay("west", west, map[im.Region]string{"east": east})
	for i := range n {
		if m := wait(t, w.got); m.Seq != im.LinkSeq(i+1) || string(m.Body.Content.Body) != fmt.Sprintf("message %d", i+1) {
			t.Fatalf("%d: %+v", i+1, m)
		}
	}
	s := e.Status()[0]
	if !s.Up || s.Sent != n || s.SentBatches > n/10 || s.SentBytes*2 > s.RawBytes || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	if p := e.Places("west"); len(p.Links) != 1 || p.Links[0] != "west:1" {
		t.Errorf("west is at %+v", p)
	}
}

// What was sent and not confirmed is sent again over the next connection, and
// taken once.
func TestBrokenConnections(t *testing.T) {
	a := newAuthority(t)
	east, west := free(t), free(t)
	proxy := newProxy(t, west)
	e := a.relay("east", east, map[im.Region]string{"west": proxy.addr}, func(c *Config) { c.Grace = time.Minute })
	w := a.relay("west", west, map[im.Region]string{"east": east})
	var sending sync.WaitGroup
	const n = 3000
	sending.Go(func() {
		for i := range n {
			e.Send("west", message(i+1), 0)
			if i%100 == 0 {
				proxy.cut()
			}
		}
	})
	for i := range n {
		if m := wait(t, w.got); m.Seq != im.LinkSeq(i+1) {
			t.Fatalf("message %d comes as number %d", m.Seq, i+1)
		}
	}
	sending.Wait()
}

// While a region is out of reach, messages are dropped and counted, and whose
// they were is asked to go on when it is back.
func TestCutOff(t *testing.T) {
	a := newAuthority(t)
	east, west := free(t), free(t)
	e := a.relay("east", east, map[im.Region]string{"west": west}, func(c *Config) { c.Grace = time.Nanosecond })
	for i := range 10 {
		e.Send("west", message(i+1), 0)
	}
	e.Send("west", &entity.Message{From: im.User(7), To: im.User(8), Ack: 3}, 0)
	if s := e.Status()[0]; s.Up || s.Dropped != 11 || s.Owing != 1 {
		t.Fatalf("%+v", s)
	}
	a.relay("west", west, map[im.Region]string{"east": east})
	if d := wait(t, e.nudges); d != (Debt{im.User(1), im.User(2)}) {
		t.Fatalf("%+v is to go on", d)
	}
}

// What is over MaxQueue is dropped, until confirmations make room.
func TestFullQueue(t *testing.T) {
	a := newAuthority(t)
	east, west := free(t), free(t)
	e := a.relay("east", east, map[im.Region]string{"west": west}, func(c *Config) { c.Grace, c.MaxQueue, c.MaxOwing = time.Hour, 1000, 1 })
	for i := range 1000 {
		m := message(i + 1)
		m.From = im.User(im.UserID(i + 1))
		e.Send("west", m, 0)
	}
	if s := e.Status()[0]; s.Queued > 1100 || s.Dropped < 900 || s.Owing != 1 {
		t.Errorf("%+v", s)
	}
	a.relay("west", west, map[im.Region]string{"east": east})
	wait(t, e.nudges)
	if s := e.Status()[0]; s.Queued > 500 || s.Owing != 0 {
		t.Errorf("there is room: %+v", s)
	}
}

// Only who has a certificate of a region that is known here gets in.
func TestStrangers(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	east := free(t)
	log := make(logged, 100)
	e := a.relay("east", east, map[im.Region]string{"west": free(t)}, func(c *Config) { c.Logger = slog.New(log) })
	for what, creds := range map[string]*Credentials{
		"another authority": other.credentials("west"), "a region that is not known": a.credentials("north"),
	} {
		config := creds.client("east", protoMessages)
		config.RootCAs = a.credentials("west").pool
		c, err := tls.Dial("tcp", east, config)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil {
			t.Errorf("%s gets in", what)
		}
	}
	c, err := tls.Dial("tcp", east, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoMessages}})
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	if err == nil {
		t.Error("who has no certificate gets in")
	}
	for range 3 {
		for wait(t, log) != "a relay was refused" {
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refused != 3 {
		t.Errorf("%d are refused", e.refused)
	}
}

// logged is told what is logged.
type logged chan string

func (l logged) Enabled(context.Context, slog.Level) bool { return true }
func (l logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logged) WithGroup(string) slog.Handler            { return l }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	select {
	case l <- r.Message:
	default:
	}
	return nil
}

// A relay does not start with a certificate of another region, or none.
func TestWrongCertificate(t *testing.T) {
	a := newAuthority(t)
	_, err := New(Config{Region: "east", Listen: "127.0.0.1:0", Credentials: a.credentials("west"), Logger: slog.New(slog.DiscardHandler),
		Deliver: func(im.Region, *entity.Message, uint8) {}, Nudge: func(_, _ im.Addr) {}})
	if im.KindOf(err) != im.Invalid {
		t.Errorf("%v", err)
	}
}

// Role links reach who accepts them.
func TestRoleLinks(t *testing.T) {
	a := newAuthority(t)
	east, west := free(t), free(t)
	e := a.relay("east", east, map[im.Region]string{"west": west})
	w := a.relay("west", west, map[im.Region]string{"east": east})
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := e.Roles().Accept(); err == nil {
			accepted <- c
		}
	}()
	c, err := w.DialRole(t.Context(), "east")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	other := wait(t, accepted)
	defer other.Close()
	if n, err := other.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}
