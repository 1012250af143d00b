package bench

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/bench/swarm"
	"github.com/skein-im/skein/internal/im"
)

func smallOverload() OverloadConfig {
	cfg := DefaultOverloadConfig()
	cfg.Conns, cfg.Procs, cfg.Program = 20, 2, os.Args[0]
	cfg.Capacity, cfg.Step, cfg.Factors = 500, 200*time.Millisecond, []float64{1, 2}
	return cfg
}

func TestOverloadFindsWhatServersDoWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		server *crowdServer
		bad    func(r *OverloadResult) bool
	}{
		"nothing": {server: &crowdServer{}},
		"loses a message": {
			&crowdServer{deliver: func(user int, pair uint64) int {
				if user == 4 && pair == 3 {
					return 0
				}
				return 1
			}},
			func(r *OverloadResult) bool {
				return r.Audit.Received == r.Audit.Admitted-1 && r.Audit.Differing == 1 && r.Audit.Wrong == 1
			},
		},
		"delivers twice": {
			&crowdServer{deliver: func(user int, pair uint64) int {
				if user == 4 && pair == 3 {
					return 2
				}
				return 1
			}},
			func(r *OverloadResult) bool { return r.Audit.Received == r.Audit.Admitted+1 && r.Audit.Wrong == 1 },
		},
		"has forgotten a message": {
			&crowdServer{count: func(user int, c *skeinv1.CountersResponse) {
				if user == 6 {
					c.SendId--
				}
			}},
			func(r *OverloadResult) bool {
				return r.Audit.Differing == 1 && r.Audit.ServerSent == r.Audit.Admitted-1
			},
		},
		"refuses friends": {
			&crowdServer{admit: func(user int, _ im.ClientSeq) im.ErrorKind {
				if user == 1 {
					return im.NotContact
				}
				return 0
			}},
			func(r *OverloadResult) bool {
				return r.Errors["a send was refused: not_contact"] > 0 && r.Steps[0].Missing > 0
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := smallOverload()
			if tc.bad != nil {
				cfg.AnswerTimeout = shortWait
			}
			tc.server.first = firstOverloaded
			tc.server.serve(t, &cfg.Target)
			res, err := Overload(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if res.Good != (tc.bad == nil) || tc.bad != nil && !tc.bad(res) {
				t.Errorf("good %v: %+v, books %+v", res.Good, res, res.Audit)
			}
			var sum strings.Builder
			res.WriteSummary(&sum)
			if strings.Contains(sum.String(), "NOT GOOD") == res.Good {
				t.Errorf("summary %q", sum.String())
			}
		})
	}
}

func TestClosedLoadsGrow(t *testing.T) {
	got := fmt.Sprint(closedLoads(4000), closedLoads(4))
	want := "[250 500 1000 2000 4000] [2 2 2 2 4]"
	if got != want {
		t.Errorf("loads %s", got)
	}
}

// What a busy server refuses is shed, and everything else arrives.
func TestOverloadShedsWhatTheServerIsTooBusyFor(t *testing.T) {
	t.Parallel()
	s := &crowdServer{first: firstOverloaded}
	refused := map[int]im.ClientSeq{}
	s.admit = func(user int, seq im.ClientSeq) im.ErrorKind {
		if seq%3 != 0 || refused[user] == seq {
			return 0
		}
		refused[user] = seq
		return im.Busy
	}
	cfg := smallOverload()
	cfg.Capacity, cfg.Step = 0, 400*time.Millisecond
	s.serve(t, &cfg.Target)
	res, err := Overload(t.Context(), cfg)
	if err != nil || !res.Good {
		t.Fatalf("%v, %+v", err, res)
	}
	for _, step := range res.Steps {
		if step.Admitted == 0 || step.ShedServer == 0 || step.Admitted+step.Shed != step.Offered || step.Goodput <= 0 {
			t.Errorf("%+v", step)
		}
	}
	if res.Capacity <= 0 || len(res.Closed) < 2 || res.Audit.Received != res.Audit.Admitted || res.Audit.Admitted == 0 {
		t.Errorf("%+v, books %+v", res, res.Audit)
	}
}

func TestOverloadOfPings(t *testing.T) {
	t.Parallel()
	s := &crowdServer{first: firstOverloaded}
	cfg := smallOverload()
	cfg.What, cfg.Capacity = swarm.Pings, 0
	s.serve(t, &cfg.Target)
	res, err := Overload(t.Context(), cfg)
	if err != nil || !res.Good || res.Audit != nil || res.Steps[1].Admitted == 0 || res.GoodputRatio <= 0 {
		t.Fatalf("%v, %+v", err, res)
	}
}

// A real server, started by the run, keeps the same books.
func TestOverloadOfAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := smallOverload()
	cfg.Conns = 100
	res, err := Overload(t.Context(), cfg)
	if err != nil || !res.Good || res.Audit.Admitted == 0 || res.Audit.ServerReceived != res.Audit.Admitted {
		t.Fatalf("%v, %+v", err, res)
	}
}
