package monitor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/skein-im/skein/internal/im"
)

const (
	// maxBody bounds what a target may answer.
	maxBody = 1 << 20
	// fetchTimeout bounds how long it may take.
	fetchTimeout = time.Second
)

// fetcher asks targets for their metrics.
type fetcher struct {
	client *http.Client
	token  string
	// parsing lets one answer be parsed at a time, which bounds the CPU time
	// and the memory that a great many of them take.
	parsing chan struct{}
}

func newFetcher(token string) *fetcher {
	transport := &http.Transport{
		// Compression costs both sides more than it saves between machines
		// that are near each other.
		DisableCompression: true, MaxIdleConnsPerHost: 1, MaxConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		ResponseHeaderTimeout: fetchTimeout, MaxResponseHeaderBytes: 16 << 10,
	}
	return &fetcher{
		client: &http.Client{Transport: transport, CheckRedirect: noRedirect}, token: token, parsing: make(chan struct{}, 1),
	}
}

// noRedirect keeps tokens and messages from going where nobody sent them.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// fetch reads a target's metrics and hands them to take.
func (f *fetcher) fetch(ctx context.Context, t *Target, take func([]*dto.MetricFamily)) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if t.Gather != nil {
		families, err := t.Gather()
		if err == nil {
			take(families)
		}
		return err
	}
	text, err := f.get(ctx, t, "/metrics")
	if err != nil {
		return err
	}
	f.parsing <- struct{}{}
	defer func() { <-f.parsing }()
	families, err := parse(text)
	if err != nil {
		return err
	}
	take(families)
	return nil
}

// get asks a target for one of its pages.
func (f *fetcher) get(ctx context.Context, t *Target, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+path, nil)
	if err != nil {
		return nil, im.Errorf(im.Invalid, "the address is of no use: %w", err)
	}
	if f.token != "" && !local(t.URL) {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "it does not answer: %w", errors.Unwrap(err))
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, im.Errorf(im.NotFound, "it has no %s", path)
	case http.StatusUnauthorized:
		return nil, im.Errorf(im.Unauthenticated, "it refuses the operator's token; --monitor-token-file names the file that has the right one")
	default:
		return nil, im.Errorf(im.Unavailable, "it answers %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, im.Errorf(im.Unavailable, "its answer breaks off: %w", err)
	case len(text) > maxBody:
		return nil, im.Errorf(im.TooLarge, "it answers with more than %d bytes", maxBody)
	}
	return text, nil
}

// parse reads the text format.
func parse(text []byte) ([]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, im.Errorf(im.Invalid, "it does not send metrics: %w", err)
	}
	return slices.Collect(maps.Values(byName)), nil
}
