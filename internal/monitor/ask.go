package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/telemetry"
	"github.com/skein-im/skein/internal/trace"
)

const (
	// askNodes is how many nodes are asked for one page, askAtOnce how many
	// at a time, and askAgain after which time anew, however many look.
	askNodes  = 64
	askAtOnce = 8
	askAgain  = 2 * time.Second
	// mostListed bounds what a page lists.
	mostListed = 50
	// slowest is how many traces there are.
	slowest = 10
)

// asked is a page that is made of the answers of nodes. It is kept for a while.
type asked struct {
	mu   sync.Mutex
	at   time.Time
	text []byte
}

// serve answers with the page, which make makes when it is too old.
func (a *asked) serve(w http.ResponseWriter, make func() any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.at) >= askAgain || a.text == nil {
		text, err := json.Marshal(make())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		a.at, a.text = time.Now(), text
	}
	write(w, a.text)
}

// askAll asks nodes for a page, and hands the answers to take, one at a time.
// Nodes that are not up, or have no such page, are left out.
func (m *Monitor) askAll(ctx context.Context, path string, take func(text []byte) error) (problems []string) {
	var up []NodeNow
	for _, n := range m.State().Nodes {
		if n.Up && slices.Contains(n.Roles, "gateway") || n.Up && slices.Contains(n.Roles, "mailbox") {
			up = append(up, n)
		}
	}
	if len(up) > askNodes {
		problems = append(problems, "only some of the nodes were asked")
		up = up[:askNodes]
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, askAtOnce)
	for _, n := range up {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
			defer cancel()
			text, err := m.fetcher.get(ctx, &Target{Name: n.Name, URL: n.URL}, path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = take(text)
			}
			if err != nil && im.KindOf(err) != im.NotFound {
				problems = append(problems, n.Name+": "+err.Error())
			}
		})
	}
	all.Wait()
	slices.Sort(problems)
	return problems
}

// Talker is a user who asks for much; see telemetry.Hitter.
type Talker struct {
	User  im.UserID `json:"user,string"`
	Count uint64    `json:"count"`
	Error uint64    `json:"error"`
}

// Talkers is what talkers answers: the requests over links of the last Seconds,
// Total in all, estimated from a sample.
type Talkers struct {
	Seconds  float64  `json:"seconds"`
	Total    uint64   `json:"total"`
	Talkers  []Talker `json:"talkers"`
	Problems []string `json:"problems"`
}

func (m *Monitor) serveTalkers(w http.ResponseWriter, r *http.Request) {
	m.talkers.serve(w, func() any {
		var parts []telemetry.Hitters
		problems := m.askAll(r.Context(), "/talkers", func(text []byte) error {
			var h telemetry.Hitters
			if err := json.Unmarshal(text, &h); err != nil {
				return im.Errorf(im.Invalid, "it does not send talkers: %w", err)
			}
			parts = append(parts, h)
			return nil
		})
		merged := telemetry.MergeHitters(mostListed, parts...)
		all := Talkers{Seconds: merged.Seconds, Total: merged.Total, Talkers: []Talker{}, Problems: problems}
		for _, x := range merged.Top {
			all.Talkers = append(all.Talkers, Talker{im.UserID(x.Key), x.Count, x.Error})
		}
		return all
	})
}

// Traces is what traces answers: the slowest first.
type Traces struct {
	Traces   []trace.Trace `json:"traces"`
	Problems []string      `json:"problems"`
}

func (m *Monitor) serveTraces(w http.ResponseWriter, r *http.Request) {
	m.traces.serve(w, func() any {
		var reports []trace.Report
		problems := m.askAll(r.Context(), "/traces/slow?limit="+strconv.Itoa(slowest), func(text []byte) error {
			report, err := trace.ReadReport(bytes.NewReader(text))
			reports = append(reports, report)
			return err
		})
		return Traces{Traces: trace.Merge(slowest, reports...).Traces, Problems: problems}
	})
}
