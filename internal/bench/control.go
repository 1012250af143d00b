package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// control lets the rate of a load be changed over HTTP while it runs.
type control struct {
	url     string
	srv     *http.Server
	serving sync.WaitGroup
	status  func() any

	mu sync.Mutex
	// now is the load that runs; nil: none whose rate can be changed.
	now *phase
}

// phase is a load whose rate can be changed.
type phase struct {
	asked chan rateAsked
	over  chan struct{}
	mu    sync.Mutex
	qps   float64
}

type rateAsked struct {
	qps  float64
	done chan error
}

// controlTimeout bounds how long a client may take with its request.
const controlTimeout = 10 * time.Second

// startControl listens at an address.
func startControl(ctx context.Context, addr string, status func() any) (*control, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for changes of the rate: %w", err)
	}
	c := &control{url: "http://" + ln.Addr().String(), status: status}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rate", c.rate)
	mux.HandleFunc("GET /status", c.tell)
	c.srv = &http.Server{Handler: mux, ReadTimeout: controlTimeout, MaxHeaderBytes: 8 << 10}
	c.serving.Go(func() {
		// It ends when stop closes the listener.
		_ = c.srv.Serve(ln)
	})
	return c, nil
}

func (c *control) stop() error {
	err := c.srv.Close()
	c.serving.Wait()
	return err
}

// begin lets the rate be changed from now on, until end. A nil control never
// does.
func (c *control) begin(qps float64) *phase {
	p := &phase{asked: make(chan rateAsked), over: make(chan struct{}), qps: qps}
	if c != nil {
		c.mu.Lock()
		c.now = p
		c.mu.Unlock()
	}
	return p
}

func (c *control) end() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.now.over)
	c.now = nil
}

// present is the load that runs, or nil.
func (c *control) present() *phase {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// heed makes a change that somebody waits for.
func (p *phase) heed(change func(qps float64) error) {
	select {
	case a := <-p.asked:
		err := change(a.qps)
		if err == nil {
			p.mu.Lock()
			p.qps = a.qps
			p.mu.Unlock()
		}
		a.done <- err
	default:
	}
}

func (p *phase) rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.qps
}

// ask has a change made.
func (p *phase) ask(ctx context.Context, qps float64) error {
	a := rateAsked{qps, make(chan error, 1)}
	select {
	case p.asked <- a:
		return <-a.done
	case <-p.over:
		return errNoRound
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *control) rate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		QPS float64 `json:"qps"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || !(body.QPS > 0) || body.QPS > maxRate {
		http.Error(w, fmt.Sprintf(`a body like {"qps": 1000} is expected, above 0 and up to %g`, float64(maxRate)), http.StatusBadRequest)
		return
	}
	err := errNoRound
	if p := c.present(); p != nil {
		err = p.ask(r.Context(), body.QPS)
	}
	switch {
	case errors.Is(err, errNoRound):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		c.tell(w, r)
	}
}

func (c *control) tell(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.status()) // A client that is gone needs no answer.
}

// EnvelopesStatus is how a run of Envelopes stands.
type EnvelopesStatus struct {
	Conns int `json:"conns"`
	// QPS is how many shakes a second are to be sent; 0: none now.
	QPS      float64 `json:"qps"`
	Due      uint64  `json:"due"`
	Answered uint64  `json:"answered"`
	Won      uint64  `json:"won"`
	Sent     uint64  `json:"sent"`
	Opened   uint64  `json:"opened"`
}

// status is what GET /status answers. Due and Answered are of the present load.
func (r *enveloping) status() any {
	s := r.swarm.Status()
	st := EnvelopesStatus{
		Conns: s.Connected, Due: s.Load.Due, Answered: s.Load.Answered,
		Won: s.Money.Won, Sent: s.Money.Sent, Opened: s.Money.Opened,
	}
	if p := r.control.present(); p != nil {
		st.QPS = p.rate()
	}
	return st
}
