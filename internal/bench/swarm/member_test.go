//go:build linux

package swarm

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/freeport"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// boss is the parent of a member that runs in this process.
type boss struct {
	t       testing.TB
	orders  *json.Encoder
	in      io.Closer
	reports *json.Decoder
	done    chan error
}

// hire runs a member with a job.
func hire(t testing.TB, job *Job) *boss {
	t.Helper()
	in, orders := io.Pipe()
	reports, out := io.Pipe()
	b := &boss{t: t, orders: json.NewEncoder(orders), in: orders, reports: json.NewDecoder(reports), done: make(chan error, 1)}
	go func() {
		err := Member(in, out)
		out.Close()
		b.done <- err
	}()
	b.tell(job)
	return b
}

func (b *boss) tell(v any) {
	b.t.Helper()
	if err := b.orders.Encode(v); err != nil {
		b.t.Fatal(err)
	}
}

// until reads reports until one satisfies a condition.
func (b *boss) until(cond func(*Report) bool) *Report {
	b.t.Helper()
	defer patience.Bound("a report")()
	for {
		var r Report
		if err := b.reports.Decode(&r); err != nil {
			b.t.Fatal(err)
		}
		if cond(&r) {
			return &r
		}
	}
}

// fire ends the member.
func (b *boss) fire() error {
	b.in.Close()
	for {
		var r Report
		if err := b.reports.Decode(&r); err != nil {
			if !errors.Is(err, io.EOF) {
				b.t.Error(err)
			}
			return <-b.done
		}
	}
}

// answering listens, and writes the same to everyone who connects and has said
// something; then it hangs up.
func answering(t testing.TB, answer []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := nc.Read(make([]byte, 4096)); err == nil {
				_, _ = nc.Write(answer)
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func oneConn(target string) *Job {
	return &Job{Members: 1, Total: 1, First: 100, Target: target, HeartbeatMS: 5000, Sends: true, Window: 4, Body: 64}
}

func welcomeFrame(t testing.TB) []byte {
	t.Helper()
	frame, err := wire.AppendMessage(nil, wire.TypeWelcome, &skeinv1.Welcome{User: 100, Device: 1, HeartbeatMs: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// FuzzAnswers lets a server say anything, before and after a welcome. The
// member carries on: it comes back, unless it was told not to.
func FuzzAnswers(f *testing.F) {
	ack := wire.AppendSendAckFrame(nil, &wire.SendAck{ClientSeq: 1<<64 - 1, Seq: 1, InTimeline: true})
	entry := wire.AppendEntry(nil, &wire.Entry{Seq: 1, Kind: wire.EntryMessage, Peer: 101, PairID: 1, Content: im.Content{Type: 2, Body: make([]byte, 64)}})
	bye, err := wire.AppendMessage(nil, wire.TypeClose, &skeinv1.Close{Code: 200, RetryAfterMs: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(false, []byte{})
	f.Add(true, []byte{})
	f.Add(true, welcomeFrame(f))
	f.Add(true, ack)
	f.Add(true, wire.AppendDeliverFrame(nil, [][]byte{entry, entry}))
	f.Add(true, wire.AppendFrame(nil, wire.TypePong, make([]byte, pingSize)))
	f.Add(true, wire.AppendPong(nil))
	f.Add(true, wire.AppendFrame(nil, wire.TypeNotice, []byte{8, 1}))
	f.Add(false, bye)
	f.Add(true, wire.AppendPing(nil))
	f.Add(true, []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, welcome bool, answer []byte) {
		if welcome {
			answer = append(welcomeFrame(t), answer...)
		}
		b := hire(t, oneConn(answering(t, answer)))
		b.tell(&Order{Connect: &Connect{Window: 1}})
		r := b.until(func(r *Report) bool { return r.Status.Retries > 0 || r.Status.Failed > 0 })
		if len(r.Status.Errors) == 0 || welcome && r.Status.Logins == 0 {
			t.Errorf("status %+v", r.Status)
		}
		if err := b.fire(); err != nil {
			t.Error(err)
		}
	})
}

// What nobody listens to is tried again and again.
func TestMemberWithoutAServer(t *testing.T) {
	addr, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	b := hire(t, oneConn(addr))
	b.tell(&Order{Connect: &Connect{Window: 1}})
	r := b.until(func(r *Report) bool { return r.Status.Retries > 2 })
	if r.Status.Errors["connect: connection refused"] < 3 || r.Status.Connected != 0 || r.Status.Wrong != 0 {
		t.Errorf("status %+v", r.Status)
	}
	b.tell(&Order{Collect: true})
	if r = b.until(func(r *Report) bool { return r.Collected != nil }); len(r.Collected.Admitted) != 1 {
		t.Errorf("collected %+v", r.Collected)
	}
	if err := b.fire(); err != nil {
		t.Error(err)
	}
}

// Requests that have no connection are counted, not left out.
func TestMemberCountsWhatItCannotSend(t *testing.T) {
	b := hire(t, oneConn("127.0.0.1:1"))
	b.tell(&Order{Load: &Load{What: Pings, Start: 1, Rate: 1000, Seconds: 0.1}})
	r := b.until(func(r *Report) bool { return r.Status.Orders == 1 && r.Status.Load.Running == 0 })
	if l := r.Status.Load; l.Due != 100 || l.Offline != 100 || l.Sent != 0 {
		t.Errorf("load %+v", l)
	}
	if err := b.fire(); err != nil {
		t.Error(err)
	}
}

func TestMemberWantsAJob(t *testing.T) {
	for _, bad := range []*Job{
		{Members: 0, Total: 1, Target: "127.0.0.1:1"},
		{Members: 2, Member: 2, Total: 9, Target: "127.0.0.1:1"},
		{Members: 1, Total: 1, Target: "here"},
		{Members: 1, Total: 1, Target: "127.0.0.1:1", Source: "there"},
		{Members: 1, Total: 1, Target: "127.0.0.1:1", TLS: true, CA: []byte("none")},
	} {
		b := hire(t, bad)
		r := b.until(func(*Report) bool { return true })
		if err := b.fire(); err == nil || r.Error == "" || !strings.Contains(err.Error(), r.Error) {
			t.Errorf("%+v: said %q, ended with %v", bad, r.Error, err)
		}
	}
	b := hire(t, oneConn("127.0.0.1:1"))
	if _, err := b.in.(io.Writer).Write([]byte("nonsense\n")); err != nil {
		t.Fatal(err)
	}
	if b.fire() == nil {
		t.Error("nonsense is an order")
	}
}
