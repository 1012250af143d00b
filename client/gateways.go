package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// Gateway is where a client may connect.
type Gateway struct {
	// Link is host:port for long links, HTTP that of the HTTP API.
	Link string `json:"link"`
	HTTP string `json:"http"`
	// Version is what the gateway runs.
	Version string `json:"version"`
	// Load is the share of its links that are taken, from 0 to 1.
	Load float64 `json:"load"`
}

// Routers say which gateways to connect to. They may be used by many goroutines.
type Routers struct {
	urls []string
	http *http.Client
	// good is the index of the one that answered last.
	good atomic.Int64
}

const (
	// routerPatience is how long one of several routers may take.
	routerPatience = 3 * time.Second
	// maxRouterAnswer bounds what a router may say.
	maxRouterAnswer = 64 << 10
)

// NewRouters makes Routers of base URLs like "http://10.0.0.7:7005". A nil client
// is http.DefaultClient.
func NewRouters(urls []string, client *http.Client) (*Routers, error) {
	if len(urls) == 0 {
		return nil, im.Errorf(im.Invalid, "the URL of a router is needed")
	}
	r := &Routers{http: client}
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, im.Errorf(im.Invalid, "%q is not the URL of a router, like http://10.0.0.7:7005", s)
		}
		r.urls = append(r.urls, strings.TrimRight(s, "/"))
	}
	if client == nil {
		r.http = http.DefaultClient
	}
	return r, nil
}

// Gateways asks for at most n gateways (1 to 32), best first: the least loaded,
// and those of the version that is meant for the user. A user of 0 is not known
// yet. The router that answered last is asked first, then the others in turn.
// Errors are *Error.
func (r *Routers) Gateways(ctx context.Context, user UserID, n int) ([]Gateway, error) {
	query := fmt.Sprintf("/v1/addresses?n=%d", n)
	if user != 0 {
		query += fmt.Sprintf("&user=%d", user)
	}
	first := int(r.good.Load())
	var errs []error
	for i := range r.urls {
		at := (first + i) % len(r.urls)
		list, err := r.ask(ctx, r.urls[at]+query)
		if err == nil {
			r.good.Store(int64(at))
			return list, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, im.Errorf(im.Unavailable, "no router names a gateway: %w", errors.Join(errs...))
}

// ask asks one router.
func (r *Routers) ask(ctx context.Context, url string) ([]Gateway, error) {
	ctx, cancel := context.WithTimeout(ctx, routerPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRouterAnswer))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Addresses []Gateway
		Error     struct{ Kind, Detail string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: this is no router's answer (status %d)", url, res.StatusCode)
	}
	if res.StatusCode != http.StatusOK || len(answer.Addresses) == 0 {
		return nil, fmt.Errorf("%s: %s %s (status %d)", url, answer.Error.Kind, answer.Error.Detail, res.StatusCode)
	}
	return answer.Addresses, nil
}
