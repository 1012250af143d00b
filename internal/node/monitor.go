package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/monitor"
	"github.com/skein-im/skein/web/admin"
)

// watches reports whether this process watches itself or others.
func (n *Node) watches() bool {
	return n.opts.Role == Monitor || n.opts.Role == Serve && n.cfg.Monitor == "on"
}

// newMonitor makes the monitor, if this process has one, and exports its
// metrics.
func (n *Node) newMonitor(reg *prometheus.Registry) error {
	if !n.watches() {
		return nil
	}
	if n.opts.Role == Monitor && n.cfg.MonitorTargets == "" && n.shared == nil {
		return fmt.Errorf("there is nothing to watch; give the operations addresses of processes with --monitor-targets, or those of a store (--store redis or postgres) for all that share it")
	}
	token, err := n.targetsToken()
	if err != nil {
		return err
	}
	thresholds, err := monitor.ParseThresholds(n.cfg.MonitorAlerts)
	if err != nil {
		return fmt.Errorf("monitor_alerts: %w", err)
	}
	cfg := monitor.Config{
		Name: n.name, Thresholds: thresholds, Version: n.opts.Version, Token: token, Webhook: n.cfg.MonitorWebhook, Series: n.cfg.MonitorSeries, Logger: n.log,
		Targets: monitor.Joined{self{n, reg}, members{n}, monitor.Addresses(n.cfg.MonitorAddresses())},
	}
	if n.cfg.MonitorLogMB > 0 {
		cfg.Dir, cfg.LogBytes = filepath.Join(n.addrs.Data, "monitor"), int64(n.cfg.MonitorLogMB)<<20
	}
	if n.monitor, err = monitor.New(cfg); err != nil {
		return err
	}
	return reg.Register(n.monitor.Collector())
}

// targetsToken is what targets on other machines want to see.
func (n *Node) targetsToken() (string, error) {
	if n.cfg.MonitorTokenFile == "" {
		return account.LoadOrCreateOperatorToken(n.addrs.Data)
	}
	text, err := os.ReadFile(n.cfg.MonitorTokenFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the token of the processes to watch: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// self is this process as a target: it is asked without a connection.
type self struct {
	node *Node
	reg  *prometheus.Registry
}

// Targets implements monitor.Targets.
func (s self) Targets() []monitor.Target {
	addr := s.node.advertised(s.node.addrs.Ops)
	t := monitor.Target{Name: addr, URL: "http://" + addr, Gather: s.reg.Gather, About: monitor.About{Version: s.node.opts.Version}}
	if s.node.shared != nil {
		t.Name = s.node.name
	}
	return []monitor.Target{t}
}

// mostMembers is up to how many members every 'skein serve' among them watches
// all: the pulls grow with the square of their number. Beyond it, each watches
// itself; 'skein monitor' watches any number.
const mostMembers = 32

// members are the nodes that share the store.
type members struct{ node *Node }

// Targets implements monitor.Targets.
func (m members) Targets() []monitor.Target {
	if m.node.shared == nil || m.node.shared.membership == nil {
		return nil
	}
	all, table := m.node.shared.membership.Members()
	slots := map[string]int{}
	for slot := range im.Slot(im.Slots) {
		if owner, ok := table.Owner(slot); ok {
			slots[owner.Node]++
		}
	}
	var targets []monitor.Target
	for _, one := range all {
		own := one.Node == m.node.name
		if one.Ops == "" || !own && m.node.opts.Role != Monitor && len(all) > mostMembers {
			continue
		}
		about := monitor.About{Version: one.Version, State: string(one.State), Slots: slots[one.Node]}
		targets = append(targets, monitor.Target{Name: one.Node, URL: "http://" + one.Ops, About: about})
	}
	return targets
}

// watchMembers makes a monitor see who shares the store, without being one of
// them.
func (n *Node) watchMembers(ctx context.Context) error {
	if n.shared == nil {
		return nil
	}
	n.shared.membership = cluster.New(cluster.Config{Records: n.shared.store, Logger: n.log})
	return n.enter(ctx)
}

// withMonitor puts the monitor's pages before the others of the ops listener.
// Off loopback what they read takes the operator's token.
func (n *Node) withMonitor(rest http.Handler) http.Handler {
	if n.monitor == nil {
		return rest
	}
	guard := onlyHere
	if !loopback(n.cfg.Ops) {
		guard = func(h http.Handler) http.Handler { return n.requireOperator(h) }
	}
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	n.monitor.Register(mux, guard)
	mux.Handle("GET /dashboard/", http.StripPrefix("/dashboard", admin.Handler()))
	mux.Handle("GET /{$}", http.RedirectHandler("/dashboard/", http.StatusFound))
	return mux
}

// onlyHere refuses requests under another name than this machine's own: where
// no token is asked for, a page from elsewhere could otherwise read along by
// giving its own name our address.
func onlyHere(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
			http.Error(w, "use the address of this machine, or localhost", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}
