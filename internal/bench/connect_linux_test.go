package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/child"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// shortWait is how long a run waits for what will not come.
const shortWait = 500 * time.Millisecond

func smallConnect() ConnectConfig {
	cfg := DefaultConnectConfig()
	cfg.Conns, cfg.Procs, cfg.Program = 20, 2, os.Args[0]
	cfg.Hold, cfg.Rate, cfg.RequestsFor = 250*time.Millisecond, 500, 250*time.Millisecond
	return cfg
}

// TestConnectFindsWhatServersDoWrong is the reason to trust a good result.
func TestConnectFindsWhatServersDoWrong(t *testing.T) {
	once := func() func() bool {
		done := false
		return func() bool { was := done; done = true; return !was }
	}
	swallow, garble, twice, hangUp := once(), once(), once(), once()
	for name, tc := range map[string]struct {
		server *crowdServer
		// bad reports whether the result shows what was wrong.
		bad func(r *ConnectResult) bool
	}{
		"nothing": {server: &crowdServer{}},
		"closes a connection": {
			&crowdServer{ping: func(c link.Conn, user int, payload []byte) bool {
				if user != 3 || len(payload) == 0 || !hangUp() {
					return false
				}
				c.CloseRetry(im.CloseGoingAway, "bye", time.Millisecond)
				return true
			}},
			func(r *ConnectResult) bool { return r.Lost == 1 && r.Errors["closed with GOING_AWAY"] == 1 },
		},
		"refuses a device": {
			&crowdServer{hello: func(c link.Conn, user int) bool {
				if user == 5 {
					c.Close(im.CloseUnauthenticated, "who are you?")
				}
				return user == 5
			}},
			func(r *ConnectResult) bool { return r.Conns == 19 && r.Errors["closed with UNAUTHENTICATED"] == 1 },
		},
		"swallows heartbeats": {
			&crowdServer{heartbeatMS: 100, ping: func(_ link.Conn, user int, payload []byte) bool {
				return user == 7 && len(payload) == 0
			}},
			func(r *ConnectResult) bool { return r.Heartbeat.Missed > 0 },
		},
		"swallows a request": {
			&crowdServer{ping: func(_ link.Conn, _ int, payload []byte) bool { return len(payload) > 0 && swallow() }},
			func(r *ConnectResult) bool { return r.Requests.Missing >= 1 },
		},
		"garbles a request": {
			&crowdServer{ping: func(c link.Conn, _ int, payload []byte) bool {
				if len(payload) == 0 || !garble() {
					return false
				}
				payload[3] ^= 1
				_ = c.Send(wire.AppendFrame(nil, wire.TypePong, payload))
				return true
			}},
			func(r *ConnectResult) bool { return r.Requests.Missing >= 1 && r.Wrong == 1 },
		},
		"answers twice": {
			&crowdServer{ping: func(c link.Conn, _ int, payload []byte) bool {
				if len(payload) > 0 && twice() {
					_ = c.Send(wire.AppendFrame(nil, wire.TypePong, payload))
				}
				return false
			}},
			func(r *ConnectResult) bool { return r.Wrong == 1 },
		},
		"forgets somebody in the push": {
			&crowdServer{notify: func(user int) int { return min(user, 1) }},
			func(r *ConnectResult) bool { return r.Pushed <= 19 },
		},
		"pushes twice": {
			&crowdServer{notify: func(int) int { return 2 }},
			func(r *ConnectResult) bool { return r.PushedAgain > 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := smallConnect()
			if tc.bad != nil {
				// What does not come is not worth waiting for.
				cfg.AnswerTimeout, cfg.PushTimeout = shortWait, shortWait
			}
			tc.server.first = firstConnected
			tc.server.serve(t, &cfg.Target)
			res, err := Connect(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if res.Good != (tc.bad == nil) || tc.bad != nil && !tc.bad(res) {
				t.Errorf("good %v: %+v, requests %+v", res.Good, res, res.Requests)
			}
			var sum strings.Builder
			res.WriteSummary(&sum)
			if strings.Contains(sum.String(), "NOT GOOD") == res.Good {
				t.Errorf("summary %q", sum.String())
			}
		})
	}
}

// goodIfLate is whether all is good but for heartbeats that were not answered in the
// fifth of a second that tests give them: a machine may be slower.
func goodIfLate(res *ConnectResult) bool {
	late := *res
	late.Heartbeat.Missed = 0
	return late.good()
}

// Servers may send devices away for a while.
func TestConnectComesBackWhenTold(t *testing.T) {
	t.Parallel()
	s := crowdServer{first: firstConnected, heartbeatMS: 200}
	s.hello = func(c link.Conn, user int) bool {
		no := user%2 == 1 && s.users[firstConnected+im.UserID(user)].greeted == 1
		if no {
			c.CloseRetry(im.CloseOverloaded, "later", 20*time.Millisecond)
		}
		return no
	}
	cfg := smallConnect()
	cfg.Ramp, cfg.Window = 400, 4
	s.serve(t, &cfg.Target)
	var said bytes.Buffer
	cfg.Progress, cfg.Still = &said, true
	res, err := Connect(t.Context(), cfg)
	if err != nil || !goodIfLate(res) || res.Retries != 10 || res.Errors["closed with OVERLOADED"] != 10 {
		t.Fatalf("%v, %+v", err, res)
	}
	if res.ConnectSeconds <= 0 || res.LoginMS.Max <= 0 || res.Requests.Answered != 125 || res.LatencyMS.Max <= 0 ||
		res.PushSeconds <= 0 || res.Heartbeat.Sent == 0 || res.Processes != 2 {
		t.Errorf("%+v", res)
	}
	if !strings.Contains(said.String(), "20 connected") || strings.Contains(said.String(), "\r") {
		t.Errorf("said %q", said.String())
	}
}

// A real server, started by the run, over TCP and TLS, from several processes
// as in a big run; and again with the users that it has then.
func TestConnectToAServerOfItsOwn(t *testing.T) {
	for name, again := range map[string][]bool{"tcp": {false, true}, "tls": {false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := smallConnect()
			cfg.Conns, cfg.Procs, cfg.TLS, cfg.Data = 200, 3, name == "tls", filepath.Join(t.TempDir(), "data")
			for _, cfg.Provisioned = range again {
				res, err := Connect(t.Context(), cfg)
				if err != nil || !res.Good {
					t.Fatalf("%v, %+v", err, res)
				}
				if res.Conns != 200 || res.Processes != 3 || res.Pushed != 200 || res.ServerRSS == 0 || res.ServerProcesses != 1 {
					t.Errorf("%+v", res)
				}
			}
		})
	}
}

// A process of the load generator that dies ends the run. No other test has
// processes meanwhile.
func TestConnectNoticesThatAProcessDied(t *testing.T) {
	cfg := smallConnect()
	cfg.Hold = time.Minute
	s := crowdServer{first: firstConnected, heartbeatMS: 200}
	s.serve(t, &cfg.Target)
	cfg.Still = true
	cfg.Progress = writerFunc(func(p []byte) {
		if !bytes.HasPrefix(p, []byte("holding")) {
			return
		}
		members := child.Descendants(os.Getpid())
		if len(members) != 2 {
			t.Errorf("%d processes", len(members))
			return
		}
		if err := syscall.Kill(members[0], syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	_, err := Connect(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "of the load generator: it ended") {
		t.Fatalf("error %v", err)
	}
}

// Requests are due when they are due: what a server does not answer while it
// stands still counts from then.
func TestConnectLeavesNothingOut(t *testing.T) {
	const still = 200 * time.Millisecond
	first := true
	s := &crowdServer{first: firstConnected}
	s.ping = func(_ link.Conn, _ int, payload []byte) bool {
		if len(payload) > 0 && first {
			first = false
			// Nobody else is served meanwhile.
			<-time.After(still)
		}
		return false
	}
	cfg := smallConnect()
	s.serve(t, &cfg.Target)
	res, err := Connect(t.Context(), cfg)
	if err != nil || !res.Good {
		t.Fatalf("%v, %+v", err, res)
	}
	// Of 125 requests, 100 are due while nothing happens, three quarters of
	// which wait for more than 50 ms.
	if res.Requests.Due != 125 || res.LatencyMS.P50 < 50 || res.LatencyMS.Max < 150 {
		t.Errorf("latencies %+v of %+v", res.LatencyMS, res.Requests)
	}
}

// A WebSocket carries the same.
func TestConnectOverWebSocket(t *testing.T) {
	t.Parallel()
	s := crowdServer{first: firstConnected, heartbeatMS: 200}
	cfg := smallConnect()
	cfg.Transport = WS
	s.serve(t, &cfg.Target)
	res, err := Connect(t.Context(), cfg)
	if err != nil || !goodIfLate(res) || res.Heartbeat.Sent == 0 || res.Requests.Answered == 0 || res.Pushed != cfg.Conns {
		t.Errorf("%v, %+v", err, res)
	}
	cfg.Transport = HTTP
	if err := cfg.Validate(); err == nil {
		t.Error("links run over HTTP")
	}
}
