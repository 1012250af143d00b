package otlp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/skein-im/skein/internal/trace"
)

// Defaults of Config.
const (
	DefaultQueue    = 16384
	DefaultBatch    = 1024
	DefaultInterval = time.Second
	DefaultTimeout  = 10 * time.Second
	DefaultPatience = time.Minute
)

// Config of an Exporter.
type Config struct {
	// URL is where traces are posted to, with its path.
	URL string
	// Version is the program's.
	Version string
	Logger  *slog.Logger
	// Queue is how many spans may wait, and Batch how many are posted at a
	// time; Interval is how long they wait to become more. 0 means the default.
	Queue, Batch int
	Interval     time.Duration
	// Timeout bounds one post, and Patience how long a batch is tried.
	Timeout, Patience time.Duration
	// HTTP posts; nil means a client of its own.
	HTTP *http.Client
}

// Exporter sends spans to a collector.
type Exporter struct {
	cfg Config

	mu     sync.Mutex
	queue  []trace.Span
	closed bool
	// more is signalled when a batch is full.
	more chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	stop   chan struct{}
	loop   sync.WaitGroup

	exported, dropped, failures atomic.Uint64
	// failing: the last post did not succeed. It belongs to the goroutine.
	failing bool
}

// New starts an Exporter; Close ends it.
func New(cfg Config) *Exporter {
	cfg.Queue = cmp.Or(cfg.Queue, DefaultQueue)
	cfg.Batch = cmp.Or(cfg.Batch, DefaultBatch)
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.Patience = cmp.Or(cfg.Patience, DefaultPatience)
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	}
	e := &Exporter{cfg: cfg, more: make(chan struct{}, 1), stop: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.loop.Go(e.run)
	return e
}

// Export queues a span, or drops it.
func (e *Exporter) Export(s trace.Span) {
	e.mu.Lock()
	full := e.closed || len(e.queue) >= e.cfg.Queue
	if !full {
		e.queue = append(e.queue, s)
	}
	signal := len(e.queue) == e.cfg.Batch
	e.mu.Unlock()
	if full {
		e.dropped.Add(1)
	}
	if signal {
		select {
		case e.more <- struct{}{}:
		default:
		}
	}
}

// Close posts what waits, for as long as ctx allows, and ends the Exporter.
func (e *Exporter) Close(ctx context.Context) {
	e.mu.Lock()
	already := e.closed
	e.closed = true
	e.mu.Unlock()
	if !already {
		close(e.stop)
	}
	defer context.AfterFunc(ctx, e.cancel)()
	e.loop.Wait()
	e.cancel()
	e.cfg.HTTP.CloseIdleConnections()
}

// Stats are an Exporter's counters and gauges.
type Stats struct {
	// Exported spans were taken by the collector, Dropped ones never will be;
	// Failures counts posts that did not succeed. Queued wait, Limit may.
	Exported, Dropped, Failures uint64
	Queued, Limit               int
}

// Stats tells how the export goes; zero of nil.
func (e *Exporter) Stats() Stats {
	if e == nil {
		return Stats{}
	}
	e.mu.Lock()
	queued := len(e.queue)
	e.mu.Unlock()
	return Stats{Exported: e.exported.Load(), Dropped: e.dropped.Load(), Failures: e.failures.Load(), Queued: queued, Limit: e.cfg.Queue}
}

// run is the goroutine.
func (e *Exporter) run() {
	tick := time.NewTicker(e.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-e.more:
		case <-e.stop:
			for batch := e.take(); len(batch) > 0; batch = e.take() {
				e.send(batch, 0)
			}
			return
		}
		for batch := e.take(); len(batch) > 0; batch = e.take() {
			e.send(batch, e.cfg.Patience)
		}
	}
}

// take takes a batch off the queue.
func (e *Exporter) take() []trace.Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.queue), e.cfg.Batch)
	batch := append([]trace.Span(nil), e.queue[:n]...)
	e.queue = append(e.queue[:0], e.queue[n:]...)
	return batch
}

// How long to wait before a batch is posted again: from minWait on, doubling.
const (
	minWait = 500 * time.Millisecond
	maxWait = 15 * time.Second
)

// send posts a batch, again and again while that may help, for so long.
func (e *Exporter) send(batch []trace.Span, patience time.Duration) {
	body, err := proto.Marshal(request(batch, e.cfg.Version))
	until := time.Now().Add(patience)
	for wait := minWait; err == nil; wait = min(2*wait, maxWait) {
		var after time.Duration
		if after, err = e.post(body); err == nil {
			e.exported.Add(uint64(len(batch)))
			if e.failing {
				e.cfg.Logger.Info("spans are exported again")
			}
			e.failing = false
			return
		}
		e.failed(err)
		wait = max(wait, after)
		if errors.Is(err, errFinal) || time.Now().Add(wait).After(until) || !e.pause(wait) {
			break
		}
		err = nil
	}
	e.dropped.Add(uint64(len(batch)))
}

// failed counts a post that did not succeed, and says so once.
func (e *Exporter) failed(err error) {
	e.failures.Add(1)
	if !e.failing {
		e.failing = true
		e.cfg.Logger.Warn("spans cannot be exported; those that do not fit the queue are dropped", "err", err)
	}
}

// pause waits, unless the Exporter is closed meanwhile.
func (e *Exporter) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.stop:
		return false
	}
}

// errFinal marks what is no better the next time.
var errFinal = errors.New("refused for good")

// post posts once. after is for how long the collector wants to be left alone.
func (e *Exporter) post(body []byte) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errFinal, err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := e.cfg.HTTP.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return 0, nil
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		if secs, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && secs > 0 {
			after = time.Duration(min(secs, 3600)) * time.Second
		}
		return after, fmt.Errorf("the collector answers %s", resp.Status)
	}
	return 0, fmt.Errorf("%w: the collector answers %s", errFinal, resp.Status)
}
