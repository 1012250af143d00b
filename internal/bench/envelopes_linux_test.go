package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

func smallEnvelopes() EnvelopesConfig {
	cfg := DefaultEnvelopesConfig()
	cfg.Conns, cfg.Procs, cfg.Program = 20, 2, os.Args[0]
	cfg.QPS, cfg.Rounds, cfg.Issue, cfg.IssueRate, cfg.Tail = 500, 1, 20, 100, 200*time.Millisecond
	cfg.Send, cfg.SendRate, cfg.AnswerTimeout = 10, 100, 500*time.Millisecond
	cfg.lead, cfg.rest = 100*time.Millisecond, 50*time.Millisecond
	return cfg
}

// nth is true the n-th time it is asked.
func nth(n int) func() bool {
	return func() bool { n--; return n == 0 }
}

// TestEnvelopesFindsWhatServersDoWrong is the reason to trust a good result.
func TestEnvelopesFindsWhatServersDoWrong(t *testing.T) {
	third, fourth := nth(3), nth(4)
	swallow, unpaid, twice, more, unanswered, refused, unopened, again := nth(3), nth(3), nth(3), nth(3), nth(2), nth(2), nth(2), nth(3)
	for name, tc := range map[string]struct {
		server *moneyServer
		// problem is in what the result says.
		problem string
	}{
		"nothing": {server: &moneyServer{}},
		"is busy and comes back": {server: &moneyServer{answered: func(_ link.Conn, _ string, a *skeinv1.Answer) *skeinv1.Answer {
			if third() || fourth() {
				return &skeinv1.Answer{Id: a.Id, Error: &skeinv1.Error{Kind: skeinv1.ErrorKind_ERROR_KIND_BUSY, RetryAfterMs: 5}}
			}
			return a
		}}},
		"swallows the answer to a shake": {
			&moneyServer{shaken: func(a *wire.Shaken) *wire.Shaken {
				if swallow() {
					return nil
				}
				return a
			}}, "1 shakes were lost",
		},
		"does not pay what was won": {
			&moneyServer{paid: func(m *wire.Money) *wire.Money {
				if m.Event == im.CampaignWon && unpaid() {
					return nil
				}
				return m
			}}, "the devices have won 19 times",
		},
		"pays more than it promised": {
			&moneyServer{shaken: func(a *wire.Shaken) *wire.Shaken {
				if more() {
					a.Cents--
				}
				return a
			}}, "1 devices were promised something else",
		},
		"says another balance": {
			&moneyServer{told: func(m proto.Message) {
				if w, ok := m.(*skeinv1.GetWalletResponse); ok && w.Balance%100 == 0 {
					w.Balance++
				}
			}}, "believes to have",
		},
		"forgets a win": {
			&moneyServer{told: func(m proto.Message) {
				if c, ok := m.(*skeinv1.GetCampaignResponse); ok && c.Won > 0 {
					c.Won--
				}
			}}, "the campaign says 19 times",
		},
		"keeps a cent of a campaign": {
			&moneyServer{told: func(m proto.Message) {
				if c, ok := m.(*skeinv1.GetCampaignResponse); ok && c.Finished {
					c.Returned--
				}
			}}, "and -1 returned",
		},
		"books a share as another": {
			&moneyServer{told: func(m proto.Message) {
				if e, ok := m.(*skeinv1.GetEnvelopeResponse); ok && len(e.Openings) > 0 && twice() {
					e.Openings[0].Cents++
				}
			}}, "of which 3 friends opened 301",
		},
		"swallows the answer to sending": {
			&moneyServer{answered: func(_ link.Conn, method string, a *skeinv1.Answer) *skeinv1.Answer {
				if strings.HasSuffix(method, "Send") && unanswered() {
					return nil
				}
				return a
			}}, "1 envelopes to be sent were lost",
		},
		"refuses an opening": {
			&moneyServer{answered: func(_ link.Conn, method string, a *skeinv1.Answer) *skeinv1.Answer {
				if strings.HasSuffix(method, "Open") && refused() {
					return &skeinv1.Answer{Id: a.Id, Error: &skeinv1.Error{Kind: skeinv1.ErrorKind_ERROR_KIND_EXPIRED}}
				}
				return a
			}}, "the server did something wrong 1 times",
		},
		"does not pay what was opened": {
			&moneyServer{paid: func(m *wire.Money) *wire.Money {
				if m.Event == im.EnvelopeOpened && unopened() {
					return nil
				}
				return m
			}}, "1 shares to be opened were lost",
		},
		"answers twice": {
			&moneyServer{answered: func(c link.Conn, _ string, a *skeinv1.Answer) *skeinv1.Answer {
				if again() {
					frame, _ := wire.AppendMessage(nil, wire.TypeAnswer, a)
					_ = c.Send(frame)
				}
				return a
			}}, "the server did something wrong 1 times",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := smallEnvelopes()
			tc.server.serveMoney(t, &cfg.Target)
			res, err := Envelopes(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(res.Problems, "\n"); res.Good != (tc.problem == "") || !strings.Contains(all, tc.problem) {
				t.Errorf("good %v: %s\n%+v", res.Good, all, res)
			}
			var sum, page strings.Builder
			res.WriteSummary(&sum)
			if err := res.Page().Write(&page); err != nil {
				t.Error(err)
			}
			if strings.Contains(sum.String(), "NOT GOOD") == res.Good || strings.Contains(page.String(), "NOT GOOD") == res.Good {
				t.Errorf("summary %q", sum.String())
			}
		})
	}
}

// A connection that is lost takes nothing with it: what was asked on it is asked
// again on the next one.
func TestEnvelopesSurviveLostConnections(t *testing.T) {
	t.Parallel()
	cut := map[string]func() bool{"Send": nth(3), "Open": nth(5)}
	s := &moneyServer{answered: func(c link.Conn, method string, a *skeinv1.Answer) *skeinv1.Answer {
		if !cut[method[strings.LastIndex(method, "/")+1:]]() {
			return a
		}
		c.CloseRetry(im.CloseGoingAway, "bye", time.Millisecond)
		return nil
	}}
	cfg := smallEnvelopes()
	cfg.Issue, cfg.AnswerTimeout = 0, 10*time.Second
	s.serveMoney(t, &cfg.Target)
	res, err := Envelopes(t.Context(), cfg)
	if err != nil || !res.Good || res.LostConns != 2 || res.Repeated < 2 || res.Opened != 30 {
		t.Errorf("%v, %+v", err, res)
	}
}

// What a device has not acknowledged in an earlier run comes again, and is none
// of this run's business.
func TestEnvelopesOfEarlierRunsDoNotCount(t *testing.T) {
	t.Parallel()
	s := new(moneyServer)
	s.hello = func(c link.Conn, user int) bool {
		id := s.first + im.UserID(user)
		u := s.user(id)
		c.SetValue(id)
		c.SetMaxFrame(im.MaxClientFrame)
		u.conn = c
		s.sendMessage(c, wire.TypeWelcome, &skeinv1.Welcome{User: uint64(id), Device: 1, Head: 2, HeartbeatMs: 100})
		s.pay(id, wire.Money{Event: im.CampaignWon, Cents: 500})
		s.entry(id, &wire.Money{Event: im.EnvelopeReceived, Ref: 99})
		return true
	}
	cfg := smallEnvelopes()
	s.serveMoney(t, &cfg.Target)
	res, err := Envelopes(t.Context(), cfg)
	if err != nil || !res.Good || res.Won != 20 || res.Opened != 30 {
		t.Errorf("%v, %+v", err, res)
	}
}

// A real server, started by the run, from several processes as in a big run;
// afterwards its store is audited.
func TestEnvelopesAtAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	cfg := smallEnvelopes()
	cfg.Conns, cfg.Procs, cfg.QPS, cfg.Rounds = 200, 3, 200, 2
	cfg.Issue, cfg.IssueRate, cfg.Send, cfg.SendRate, cfg.Tail = 40, 40, 20, 40, 500*time.Millisecond
	cfg.AnswerTimeout, cfg.rest, cfg.Data = 20*time.Second, time.Second, filepath.Join(t.TempDir(), "data")
	res, err := Envelopes(t.Context(), cfg)
	if err != nil || !res.Good || res.Audit != "ok" {
		t.Fatalf("%v, %+v", err, res)
	}
	if res.Conns != 200 || res.Issued != 80 || res.Won != 80 || res.Opened != 120 || res.ClientCents != 80*100+120*100 ||
		res.ServerCents != res.ClientCents || res.OfferedQPS != 400 || res.LatencyMS == nil || res.LatencyMS.Max <= 0 || res.ServerCPU <= 0 {
		t.Errorf("%+v", res)
	}
	b, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"conns", "offered_qps", "answered_qps", "won", "issued", "opened", "client_cents", "server_cents",
		"audit", "latency_ms", "server_cpu_us_per_request", "per_second", "errors", "generator_lateness_ms"} {
		if !bytes.Contains(b, []byte(`"`+key+`"`)) {
			t.Errorf("no %s in the result", key)
		}
	}
	// Again with the users that there are then, some of whom have not heard
	// the last of the first run.
	cfg.Provisioned, cfg.Rounds, cfg.IssueRate, cfg.SendRate, cfg.rest = true, 1, 200, 200, 200*time.Millisecond
	res, err = Envelopes(t.Context(), cfg)
	if err != nil || !res.Good || res.Audit != "ok" || res.Won != 40 || res.Opened != 60 {
		t.Errorf("%v, %+v", err, res)
	}
}

// The rate changes when somebody asks for it over HTTP.
func TestEnvelopesRateIsChangedOverHTTP(t *testing.T) {
	t.Parallel()
	cfg := smallEnvelopes()
	cfg.QPS, cfg.Send, cfg.Tail, cfg.lead = 100, 0, 2*time.Second, 200*time.Millisecond
	var s moneyServer
	s.serveMoney(t, &cfg.Target)
	var asking sync.WaitGroup
	defer asking.Wait()
	url := ""
	cfg.Still = true
	cfg.Progress = writerFunc(func(p []byte) {
		switch {
		case bytes.HasPrefix(p, []byte("POST ")):
			url, _, _ = strings.Cut(string(p[len("POST "):]), "/rate")
		case bytes.HasPrefix(p, []byte("putting")):
			if code := post(t, url, `{"qps": 5}`); code != http.StatusConflict {
				t.Errorf("before the first shake the answer is %d", code)
			}
		case bytes.HasPrefix(p, []byte("100 shakes/s")):
			asking.Go(func() { askForMore(t, url) })
		}
	})
	res, err := Envelopes(t.Context(), cfg)
	if err != nil || !res.Good {
		t.Fatalf("%v, %+v", err, res)
	}
	// It would be 220 otherwise, and can be no more than 4400.
	if due := res.Rounds[0].Shakes.Due; due < 500 || due > 4400 {
		t.Errorf("%d shakes were due", due)
	}
}

// askForMore waits for the first shakes, and asks for twenty times as many.
func askForMore(t *testing.T, url string) {
	for _, bad := range []string{"", `{"qps": 0}`, `{"qps": -1}`, `{"qps": 1e9}`, `{"rate": 5}`} {
		if code := post(t, url, bad); code != http.StatusBadRequest {
			t.Errorf("%q is answered %d", bad, code)
		}
	}
	for code := 0; code != http.StatusOK; {
		if code = post(t, url, `{"qps": 2000}`); code != http.StatusOK && code != http.StatusConflict {
			t.Errorf("the answer is %d", code)
			return
		}
	}
	res, err := http.Get(url + "/status")
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	var status EnvelopesStatus
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || status.QPS != 2000 || status.Conns != 20 {
		t.Errorf("%v, status %+v", err, status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func post(t *testing.T, url, body string) int {
	res, err := http.Post(url+"/rate", "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return http.StatusOK
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestWindowsOfWins(t *testing.T) {
	list := make([]PerSecond, 45)
	for i := range list {
		list[i].Won = []uint32{200, 189, 211, 205}[min(i/10, 3)]
	}
	// Of the windows that cross from one value to the next, one has 210.4.
	w := newWindows(list, 40, 200)
	if w == nil || w.Count != 31 || fmt.Sprintf("%.3f %.3f", w.Min, w.Max) != "189.000 211.000" || w.Within != 28.0/31 {
		t.Errorf("%+v", w)
	}
	if w := newWindows(list, 9, 200); w != nil {
		t.Errorf("%+v", w)
	}
}
