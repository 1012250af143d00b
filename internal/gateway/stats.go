package gateway

import (
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/telemetry"
	"github.com/skein-im/skein/internal/wire"
)

// Kinds is one more than the highest known error kind; it sizes tables by
// kind. Errors of kinds that are not known here count as im.Internal.
const Kinds = int(im.Moved) + 1

func kindIndex(k im.ErrorKind) int {
	if int(k) >= Kinds {
		return int(im.Internal)
	}
	return int(k)
}

// Op is what a client asks for.
type Op uint8

// What clients ask for.
const (
	OpLogin Op = iota
	OpSend
	OpCall
	OpShake
	// Ops is how many there are.
	Ops
)

var opNames = [Ops]string{"login", "send", "call", "shake"}

func (o Op) String() string { return opNames[o] }

type counters struct {
	connections, sessions, resuming    atomic.Int64
	resumed, unresumed                 atomic.Uint64
	framesIn, framesOut                [wire.Types]atomic.Uint64
	logins, sends, calls, slow, busy   atomic.Uint64
	shed, limited                      atomic.Uint64
	loginRefused, refused, callRefused [Kinds]atomic.Uint64
	took                               [Ops]*telemetry.Striped
}

func (c *counters) init() {
	for i := range c.took {
		c.took[i] = telemetry.NewStriped()
	}
}

// ticks is an uptime for im.Send.Taken: microseconds, of which the upper bits
// do not count. since turns back how long ago that was, up to an hour.
func ticks(uptime time.Duration) uint32 { return uint32(uptime / time.Microsecond) }

func since(taken, now uint32) time.Duration { return time.Duration(now-taken) * time.Microsecond }

func (c *counters) frameIn(t wire.Type) {
	if !t.Known() {
		t = 0
	}
	c.framesIn[t].Add(1)
}

func (c *counters) frameOut(t wire.Type) { c.framesOut[t].Add(1) }

// Stats are a Gateway's counters and gauges.
type Stats struct {
	// Connections and Sessions are open now; a session is a connection that
	// has logged in.
	Connections, Sessions int64
	// FramesIn and FramesOut count by frame type; 0 stands for unknown
	// ones. Close frames are the link's and not among them.
	FramesIn, FramesOut [wire.Types]uint64
	// Resuming is how many of the sessions have lost their mailbox and not
	// found it again. Resumed counts those that did, Unresumed those that did
	// not and were closed.
	Resuming           int64
	Resumed, Unresumed uint64
	// Logins that succeeded, and those that failed by kind.
	Logins       uint64
	LoginRefused [Kinds]uint64
	// Sends that came, and those refused by kind; likewise Calls.
	Sends       uint64
	Refused     [Kinds]uint64
	Calls       uint64
	CallRefused [Kinds]uint64
	// Took is how long clients waited: for the Welcome to a login that
	// succeeded, and for the answers to all sends, calls and shakes.
	Took [Ops]telemetry.Counts
	// Shed counts logins, sends and calls refused because the mailbox would
	// have refused them, Limited those of devices and addresses that ask for
	// too much. They are counted by kind too.
	Shed, Limited uint64
	// Bytes is how many the bodies of sends without an answer have, roughly.
	Bytes, MaxBytes int64
	// WaitingLogins are those that wait for their turn, of MaxWaitingLogins,
	// and RunningCalls the calls that run, of MaxCalls.
	WaitingLogins, MaxWaitingLogins, RunningCalls, MaxCalls int
	// Slow counts connections closed because they did not read.
	Slow uint64
	// Busy counts acks, pulls and detaches that had to be repeated because
	// the mailbox was busy.
	Busy uint64
}

// Stats returns the counters now.
func (g *Gateway) Stats() Stats {
	c := &g.stats
	st := Stats{
		Connections: c.connections.Load(),
		Sessions:    c.sessions.Load(),
		Resuming:    c.resuming.Load(),
		Resumed:     c.resumed.Load(),
		Unresumed:   c.unresumed.Load(),
		Logins:      c.logins.Load(),
		Sends:       c.sends.Load(),
		Calls:       c.calls.Load(),
		Shed:        c.shed.Load(),
		Limited:     c.limited.Load(),
		Bytes:       g.freight.all.Stats().Used * piece,
		MaxBytes:    int64(g.cfg.MaxBytes),
		Slow:        c.slow.Load(),
		Busy:        c.busy.Load(),
	}
	st.WaitingLogins, st.MaxWaitingLogins = g.gate.waiting(), g.cfg.MaxWaiting
	st.RunningCalls, st.MaxCalls = len(g.slots), g.cfg.MaxCalls
	for i := range st.Took {
		st.Took[i] = c.took[i].Counts()
	}
	load(st.FramesIn[:], c.framesIn[:])
	load(st.FramesOut[:], c.framesOut[:])
	load(st.LoginRefused[:], c.loginRefused[:])
	load(st.Refused[:], c.refused[:])
	load(st.CallRefused[:], c.callRefused[:])
	return st
}

func load(dst []uint64, src []atomic.Uint64) {
	for i := range src {
		dst[i] = src[i].Load()
	}
}

// Talkers are the users who ask for the most over links, at most n.
func (g *Gateway) Talkers(n int) telemetry.Hitters { return g.talkers.Top(n, g.cfg.Now()) }
