package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/docs"
	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/trace"
)

// Defaults of Config.
const (
	DefaultMaxPolls    = 10000
	DefaultBodyTimeout = 15 * time.Second
)

// Config is what an API needs.
type Config struct {
	Mailbox  im.Mailbox
	Accounts *account.Service
	// Operator recognizes who may call AdminService; the zero value nobody.
	Operator account.Operator
	// NextSession gives out session identifiers for long polls. Nobody else
	// in the process may use the same ones.
	NextSession func() im.SessionID
	Logger      *slog.Logger
	// MaxPolls is how many long polls may wait at a time; 0 means
	// DefaultMaxPolls.
	MaxPolls int
	// BodyTimeout is how long a body of ordinary size may take to arrive; 0
	// means DefaultBodyTimeout. Provision gets four times as long.
	BodyTimeout time.Duration
	// Shake, when set, tries to win an envelope of a campaign for a user.
	Shake func(ctx context.Context, user im.UserID, c im.CampaignID) (skeinv1.ShakeOutcome, im.Cents, error)
	// Limit, when set, is asked whether a device may call a method over HTTP
	// now; send: the method sends a message. Links have their own limits.
	Limit func(user im.UserID, device im.DeviceID, send bool) error
	// Notify, when set, hands a notice to every link there is and returns to
	// how many.
	Notify func(ctx context.Context, n Notice) (reached uint64, err error)
	// Now is the clock that notices carry; nil means time.Now.
	Now func() time.Time
	// Guard, when set, bounds how often an address may show a wrong token.
	Guard *account.TokenGuard
	// Observe, when set, is told of every method that was called, how it
	// ended (KindUnspecified: well) and how long it took, waiting included.
	Observe func(method string, kind im.ErrorKind, took time.Duration)
	// Sampler decides which messages are traced, and Traces records what
	// becomes of them here; nil: nobody does.
	Sampler *trace.Sampler
	Traces  *trace.Recorder
}

// API answers the methods of api.proto, over HTTP and over links.
type API struct {
	cfg     Config
	mailbox im.Mailbox
	log     *slog.Logger
	mux     *http.ServeMux
	byName  map[string]*method
	polls   *places
	drain   chan struct{}
	once    sync.Once
	// sends counts what Sampler is asked about.
	sends atomic.Uint64
}

// New makes an API, which is an http.Handler. The address in a request's
// RemoteAddr counts as the client's; a handler in front that knows better may
// change it.
func New(cfg Config) (*API, error) {
	if cfg.Mailbox == nil || cfg.Accounts == nil || cfg.NextSession == nil || cfg.Logger == nil {
		return nil, fmt.Errorf("an API needs a mailbox, accounts, session identifiers and a logger")
	}
	if cfg.MaxPolls == 0 {
		cfg.MaxPolls = DefaultMaxPolls
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = DefaultBodyTimeout
	}
	a := &API{
		cfg:     cfg,
		mailbox: cfg.Mailbox,
		log:     cfg.Logger,
		mux:     http.NewServeMux(),
		byName:  map[string]*method{},
		polls:   newPlaces(cfg.MaxPolls),
		drain:   make(chan struct{}),
	}
	for _, m := range methods() {
		a.byName[m.name()] = m
		a.mux.Handle(m.procedure, a.guard(m, m.handler(a, m)))
	}
	a.mux.HandleFunc("/{service}/{method}", unknownMethod)
	a.mux.HandleFunc("GET /openapi.json", serveOpenAPI)
	a.mux.HandleFunc("GET /{$}", serveIndex)
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Drain makes long polls answer at once, those that wait and those that come.
func (a *API) Drain() { a.once.Do(func() { close(a.drain) }) }

// Polls is how many long polls wait now.
func (a *API) Polls() int { return a.polls.taken() }

// guard bounds a method's body before anything looks at it.
func (a *API) guard(m *method, next http.Handler) http.Handler {
	timeout := a.cfg.BodyTimeout
	if m.limit > maxBody {
		timeout *= 4
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Body != nil && r.Body != http.NoBody {
			// A copy: the server looks at the body of its own request to
			// see whether all of it was read, and closes the connection
			// otherwise. Behind another type it would not know, and take
			// the rest of the body for the next request.
			guarded := *r
			guarded.Body = guardBody(w, r, m.limit, timeout)
			r = &guarded
		}
		next.ServeHTTP(w, r)
	})
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(docs.OpenAPI)
}

const index = `This is Skein, a messaging server.

The HTTP API takes POST requests to /skein.v1.<Service>/<Method>, as JSON or
protobuf. /openapi.json describes every method. Try:

  curl -d '{"name":"ann","password":"correct horse"}' \
       -H 'Content-Type: application/json' \
       <this address>/skein.v1.AccountService/Register

Everything else is in the project's docs directory.
`

func serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	io.WriteString(w, index)
}
