package router

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
)

// The bounds of what is registered by hand.
const (
	// maxServices is how many servers may be registered at a time, as far as
	// routers that are asked at the same moment know of each other's.
	maxServices = 256
	// defaultLife is how long a registration stays, unless it says so itself,
	// which is at most maxLife.
	defaultLife = 24 * time.Hour
	maxLife     = 30 * 24 * time.Hour
	leastLife   = time.Second
	// storePatience is how long the store may take for one.
	storePatience = 3 * time.Second
)

// ownRegion is what the nodes of this cluster have as their region: it is one,
// and numbered as in the article.
const ownRegion = "1"

var (
	kindForm   = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	regionForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,16}$`)
	idForm     = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)
	cellForm   = regexp.MustCompile(`^[A-Za-z0-9_-]{0,16}$`)
	hostForm   = regexp.MustCompile(`^[A-Za-z0-9.:_-]{1,128}$`)
)

// Server is one registered server in the answer to GET /server.
type Server struct {
	Kind   string `json:"kind"`
	Region string `json:"region"`
	ID     string `json:"id"`
	Host   string `json:"host"`
	Port   string `json:"port"`
	Cell   string `json:"cell"`
}

// servers lists nodes and what was registered by hand, in the article's terms: a
// mailbox is a localposter, and also the cache that is read from.
func (r *Router) servers(*http.Request) (any, error) {
	members, _ := r.cfg.Members.Members()
	list := []Server{}
	add := func(kind, region, id, address, cell string) {
		host, port, err := net.SplitHostPort(address)
		if err == nil {
			list = append(list, Server{kind, region, id, host, port, cell})
		}
	}
	for _, m := range cluster.Nodes(members) {
		add("localposter", ownRegion, m.Node, m.Roles, "")
		add("cache", ownRegion, m.Node, m.Roles, "")
		add("gw", ownRegion, m.Node, m.Link, "")
		add("poster", ownRegion, m.Node, m.Relay, "")
		add("router", ownRegion, m.Node, m.Router, "")
	}
	for _, m := range cluster.Services(members) {
		kind, region, _ := strings.Cut(m.Service, "/")
		add(kind, region, strings.TrimPrefix(m.Node, m.Service+"/"), m.Address, m.Cell)
	}
	slices.SortFunc(list, func(a, b Server) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Region, b.Region), cmp.Compare(a.ID, b.ID))
	})
	return map[string]any{"servers": list, "stale": r.cfg.Members.Failed() != nil}, nil
}

// register writes down a server that cannot do so itself. It is a GET, as in the
// article; so what a page of another site makes a browser ask for is refused.
func (r *Router) register(req *http.Request) (any, error) {
	if site := req.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return nil, im.Errorf(im.PermissionDenied, "pages of other sites cannot register servers")
	}
	m, err := parseService(req.PathValue("kind"), req.PathValue("region"), req.URL.Query())
	if err != nil {
		return nil, err
	}
	ttl, err := parseLife(req.URL.Query().Get("ttl"))
	if err != nil {
		return nil, err
	}
	if err := r.cfg.Members.Failed(); err != nil {
		return nil, im.Errorf(im.Unavailable, "the store is out of reach, so nothing can be registered: %w", err)
	}
	members, _ := r.cfg.Members.Members()
	if err := fits(members, &m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), storePatience)
	defer cancel()
	m.Started = im.Millis(r.cfg.Now().UnixMilli())
	if err := r.cfg.Register(ctx, m, ttl); err != nil {
		return nil, err
	}
	r.cfg.Logger.Info("a server was registered", "name", m.Node, "address", m.Address, "for", ttl.String())
	// It is there, whether or not this router sees it at once.
	_ = r.cfg.Members.Sync(ctx)
	return map[string]any{"registered": m.Node, "expires_ms": int64(m.Started) + ttl.Milliseconds()}, nil
}

// parseService reads what is registered.
func parseService(kind, region string, q url.Values) (m cluster.Member, err error) {
	id, host, cell := q.Get("id"), q.Get("host"), q.Get("cellid")
	port, portErr := strconv.ParseUint(q.Get("port"), 10, 16)
	switch {
	case !kindForm.MatchString(kind):
		err = im.Errorf(im.Invalid, "the kind of a server is a word like redis, of 1 to 16 small letters and digits")
	case !regionForm.MatchString(region):
		err = im.Errorf(im.Invalid, "a region is 1 to 16 letters, digits, _ and -")
	case !idForm.MatchString(id):
		err = im.Errorf(im.Invalid, "give the server's name as id=, 1 to 32 letters, digits, dots, _ and -")
	case !hostForm.MatchString(host):
		err = im.Errorf(im.Invalid, "give its host name or address as host=, at most 128 characters")
	case portErr != nil || port == 0:
		err = im.Errorf(im.Invalid, "give its port as port=, from 1 to 65535")
	case !cellForm.MatchString(cell):
		err = im.Errorf(im.Invalid, "cellid is at most 16 letters, digits, _ and -")
	}
	if err != nil {
		return m, err
	}
	service := kind + "/" + region
	return cluster.Member{
		Node: service + "/" + id, State: cluster.Up, Service: service,
		Address: net.JoinHostPort(host, strconv.FormatUint(port, 10)), Cell: cell,
	}, nil
}

// parseLife reads for how long a registration stays.
func parseLife(text string) (time.Duration, error) {
	if text == "" {
		return defaultLife, nil
	}
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < leastLife || ttl > maxLife {
		return 0, im.Errorf(im.Invalid, "ttl is how long the registration stays, like 90s or 12h, from %v to %v", leastLife, maxLife)
	}
	return ttl, nil
}

// fits reports why a server cannot be registered besides those that there are.
func fits(members []cluster.Member, m *cluster.Member) error {
	services := 0
	for i := range members {
		switch o := &members[i]; {
		case o.Node == m.Node && o.Service == "":
			return im.Errorf(im.Conflict, "%s is the name of a node", m.Node)
		case o.Node == m.Node:
			return nil
		case o.Service != "":
			services++
		}
	}
	if services >= maxServices {
		return im.Errorf(im.TooLarge, "%d servers are registered already; more are not possible before one of them expires", services)
	}
	return nil
}
