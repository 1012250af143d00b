package node

import (
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/shard"
	"github.com/skein-im/skein/internal/telemetry"
)

// apiMeter measures the methods of the API.
type apiMeter struct {
	// index says which histogram is a method's.
	index  map[string]int
	times  []telemetry.Histogram
	errors [shard.Kinds]atomic.Uint64
}

func newAPIMeter() *apiMeter {
	names := api.Methods()
	m := &apiMeter{index: make(map[string]int, len(names)), times: make([]telemetry.Histogram, len(names))}
	for i, name := range names {
		m.index[name] = i
	}
	return m
}

// observe is for api.Config.Observe.
func (m *apiMeter) observe(method string, kind im.ErrorKind, took time.Duration) {
	if i, ok := m.index[method]; ok {
		m.times[i].Observe(took)
	}
	if kind != im.KindUnspecified {
		m.errors[min(int(kind), shard.Kinds-1)].Add(1)
	}
}

// apiSample are an apiMeter's numbers at one time.
type apiSample struct {
	Took   []telemetry.Counts  `json:"took"`
	Errors [shard.Kinds]uint64 `json:"errors"`
}

func (m *apiMeter) sample() apiSample {
	s := apiSample{Took: make([]telemetry.Counts, len(m.times))}
	for i := range m.times {
		s.Took[i] = m.times[i].Counts()
	}
	for i := range m.errors {
		s.Errors[i] = m.errors[i].Load()
	}
	return s
}

// took is one method's histogram; nil: the sample has none.
func (s *apiSample) took(i int) *telemetry.Counts {
	if i >= len(s.Took) {
		return nil
	}
	return &s.Took[i]
}

func kindName(i int) string { return im.ErrorKind(i).String() }

// The listeners that ask for bearer tokens.
const (
	listenerHTTP = iota
	listenerOps
	listeners
)

var listenerNames = [listeners]string{"http", "ops"}

// bearers are the guards of the listeners.
type bearers [listeners]*account.TokenGuard

// bearerStats are counters by listener.
type bearerStats struct{ failed, refused [listeners]uint64 }

func (b *bearers) stats() (st bearerStats) {
	for i, g := range b {
		if g != nil {
			one := g.Stats()
			st.failed[i], st.refused[i] = one.Failed, one.Refused
		}
	}
	return st
}

// newBearers makes the guards. Behind a proxy of the HTTP listener there are
// many clients, who are not to suffer for each other; nobody has a proxy in
// front of operations.
func (n *Node) newBearers() (bearers, error) {
	unlimited, err := n.cfg.UnlimitedNetworks()
	if err != nil {
		return bearers{}, err
	}
	return bearers{listenerHTTP: account.NewTokenGuard(unlimited, time.Now), listenerOps: account.NewTokenGuard(nil, time.Now)}, nil
}
