package monitor

import (
	"net"
	"net/url"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// MaxTargets is how many processes one Monitor collects from; those beyond it
// are left out and counted.
const MaxTargets = 4096

// Target is a process to collect from.
type Target struct {
	// Name tells it from the others.
	Name string
	// URL is that of its ops listener, without a path.
	URL string
	// Gather, if not nil, is asked instead: it is this very process.
	Gather func() ([]*dto.MetricFamily, error)
	// About is what the cluster's records say of it, if there are any.
	About About
}

// About is what is known of a node besides its numbers.
type About struct {
	Version string `json:"version,omitempty"`
	State   string `json:"state,omitempty"`
	// Slots is how many it owns; 0: none, or nothing is known.
	Slots int `json:"slots,omitempty"`
}

// Targets says what there is to collect from. It is asked every second, and
// answers at once.
type Targets interface {
	Targets() []Target
}

// Static are targets that do not change.
type Static []Target

// Targets implements Targets.
func (s Static) Targets() []Target { return s }

// Addresses makes targets of the addresses of ops listeners.
func Addresses(addrs []string) Static {
	var s Static
	for _, a := range addrs {
		u := a
		if !strings.Contains(u, "://") {
			u = "http://" + u
		}
		s = append(s, Target{Name: strings.TrimPrefix(strings.TrimPrefix(a, "http://"), "https://"), URL: strings.TrimRight(u, "/")})
	}
	return s
}

// Joined are the targets of several sources. One that several know counts once,
// with what the first says of it, and what the cluster's records say.
type Joined []Targets

// Targets implements Targets.
func (j Joined) Targets() []Target {
	var all []Target
	at := map[string]int{}
	for _, src := range j {
		for _, t := range src.Targets() {
			i, known := at[t.URL]
			if !known {
				at[t.URL] = len(all)
				all = append(all, t)
				continue
			}
			if all[i].About.State == "" && t.About != (About{}) {
				all[i].About = t.About
			}
		}
	}
	return all
}

// local reports whether a target is on this machine, where nobody asks for a
// token.
func local(target string) bool {
	u, err := url.Parse(target)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
