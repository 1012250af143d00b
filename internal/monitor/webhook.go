package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skein-im/skein/internal/im"
)

const (
	// webhookQueue bounds the messages that wait; those beyond it are
	// dropped, logged and counted.
	webhookQueue = 64
	// webhookTries is how often a message is tried, each time for at most
	// webhookTimeout, with pauses that double from webhookPause.
	webhookTries   = 5
	webhookTimeout = 5 * time.Second
	webhookPause   = time.Second
)

// message is what the webhook gets: what has changed in one second.
type message struct {
	// Monitor names the process, Time is in Unix seconds.
	Monitor string  `json:"monitor"`
	Time    int64   `json:"time"`
	Alerts  []Alert `json:"alerts"`
}

// WebhookStats are counters of a webhook.
type WebhookStats struct {
	// Delivered, Failed (given up) and Dropped count messages.
	Delivered uint64 `json:"delivered"`
	Failed    uint64 `json:"failed"`
	Dropped   uint64 `json:"dropped"`
	Waiting   int    `json:"waiting"`
	// Error is why the last try failed; empty: it did not.
	Error string `json:"error,omitempty"`
}

// webhook tells somebody about alerts. A nil one tells nobody.
type webhook struct {
	url    string
	client *http.Client
	log    *slog.Logger
	queue  chan message

	mu    sync.Mutex
	stats WebhookStats
}

func newWebhook(url string, log *slog.Logger) *webhook {
	if url == "" {
		return nil
	}
	return &webhook{
		url: url, log: log, queue: make(chan message, webhookQueue),
		client: &http.Client{Timeout: webhookTimeout, CheckRedirect: noRedirect, Transport: &http.Transport{MaxConnsPerHost: 1}},
	}
}

// tell queues a message.
func (h *webhook) tell(m message) {
	if h == nil || len(m.Alerts) == 0 {
		return
	}
	select {
	case h.queue <- m:
	default:
		h.log.Error("the webhook does not keep up; alerts are not told", "alerts", len(m.Alerts))
		h.count(func(s *WebhookStats) { s.Dropped++ })
	}
}

func (h *webhook) count(change func(*WebhookStats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.stats)
}

// Stats reads the counters.
func (h *webhook) Stats() WebhookStats {
	if h == nil {
		return WebhookStats{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Waiting = len(h.queue)
	return s
}

// run delivers until ctx ends.
func (h *webhook) run(ctx context.Context) {
	defer h.client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-h.queue:
			h.deliver(ctx, m)
		}
	}
}

// deliver tries until it succeeds, or has tried often enough.
func (h *webhook) deliver(ctx context.Context, m message) {
	body, err := json.Marshal(m)
	if err != nil {
		panic("monitor: alerts that are not JSON: " + err.Error())
	}
	pause := webhookPause
	for try := 1; ; try++ {
		err := h.post(ctx, body)
		if err == nil {
			h.count(func(s *WebhookStats) { s.Delivered++; s.Error = "" })
			return
		}
		h.count(func(s *WebhookStats) { s.Error = err.Error() })
		h.log.Warn("the webhook failed", "err", err, "try", try)
		if try == webhookTries {
			h.count(func(s *WebhookStats) { s.Failed++ })
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (h *webhook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return im.Errorf(im.Invalid, "the webhook's address is of no use")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := h.client.Do(req)
	if err != nil {
		// The whole error has the address, which is a secret with most services.
		return im.Errorf(im.Unavailable, "the webhook does not answer: %w", errors.Unwrap(err))
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return im.Errorf(im.Unavailable, "the webhook answers %d", res.StatusCode)
	}
	return nil
}
