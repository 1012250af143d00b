package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/account"
)

// ScaleConfig is what Scale is asked to do.
type ScaleConfig struct {
	// Nodes are the numbers of mailbox nodes to run with, one after the other.
	Nodes []int `json:"nodes"`
	// Store is what the nodes share: StoreRedis or StorePostgres.
	Store string `json:"store"`
	// Cluster takes a Redis Cluster of three primaries with Replicas each, or a
	// primary of PostgreSQL with as many standbys, of which Confirm have a
	// write before it counts; else there is one server. Every server syncs
	// every write.
	Cluster  bool `json:"cluster,omitempty"`
	Replicas int  `json:"replicas,omitempty"`
	Confirm  int  `json:"confirm,omitempty"`
	// Chat is what the users do. Its target is ignored.
	Chat ChatConfig `json:"chat"`
}

// DefaultScaleConfig is the experiment of the article on 1, 2 and 4 nodes.
func DefaultScaleConfig() ScaleConfig {
	return ScaleConfig{Nodes: []int{1, 2, 4}, Store: StoreRedis, Replicas: 2, Confirm: 1, Chat: DefaultChatConfig()}
}

// maxScaleNodes bounds the processes of a run.
const maxScaleNodes = 32

// Validate reports the first setting that cannot work.
func (c *ScaleConfig) Validate() error {
	if len(c.Nodes) == 0 || slices.Min(c.Nodes) < 1 || slices.Max(c.Nodes) > maxScaleNodes {
		return fmt.Errorf("nodes: between 1 and %d, like 1,2,4", maxScaleNodes)
	}
	if c.Replicas < 0 || c.Replicas > 4 || c.Confirm < 0 || c.Confirm > c.Replicas {
		return errors.New("replicas: between 0 and 4 per primary, and no more to be waited for than there are")
	}
	if err := findStore(c.Store); err != nil {
		return err
	}
	return c.Chat.Validate()
}

// The metrics that say what a message costs besides processor time.
const (
	metricCommits    = "skein_mailbox_commits_total"
	metricFenced     = "skein_mailbox_fenced_total"
	metricRepeated   = "skein_route_repeated_total"
	metricForwarded  = "skein_route_forwarded_total"
	metricRetransmit = "skein_mailbox_link_retransmissions_total"
)

var scaleMetrics = []string{metricCommits, metricFenced, metricRepeated, metricForwarded, metricRetransmit}

// Scale runs the same chat on more and more mailbox nodes over a store of its
// own.
func Scale(ctx context.Context, cfg ScaleConfig) (*ScaleResult, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	res := &ScaleResult{Config: cfg, Environment: newEnvironment(cfg.Chat.Version), Good: true}
	for _, n := range cfg.Nodes {
		run, err := scaleRun(ctx, &cfg, n)
		if err != nil {
			return nil, fmt.Errorf("with %d nodes: %w", n, err)
		}
		res.add(run)
	}
	return res, nil
}

// plant is the servers of one run.
type plant struct {
	cfg   *ScaleConfig
	temp  string
	store *sharedStore
	// roles are the processes by their role.
	roles map[string][]*server
	http  http.Client
}

func scaleRun(ctx context.Context, cfg *ScaleConfig, nodes int) (_ *ScaleRun, err error) {
	p := &plant{cfg: cfg, roles: map[string][]*server{}}
	defer func() { err = errors.Join(err, p.stop()) }()
	progress := progress{out: cfg.Chat.Progress}
	progress.say("starting %s, %d mailbox nodes and a gateway", cfg.Store, nodes)
	if err := p.start(ctx, nodes); err != nil {
		return nil, err
	}
	gate := p.roles["gateway"][0]
	chat := cfg.Chat
	if chat.OperatorToken, err = gate.operatorToken(); err != nil {
		return nil, err
	}
	chat.Link, chat.HTTP = "tcp://"+gate.Link, "http://"+gate.HTTP
	if chat.Transport == WS {
		chat.Link = "ws://" + gate.HTTP + linkPath
	}
	failed := newFirstError()
	chat.Probe = func() Probe { return p.probe(ctx, failed) }
	got, err := Chat(ctx, chat)
	if err == nil {
		err = failed.err
	}
	if err != nil {
		return nil, err
	}
	return newScaleRun(nodes, got), nil
}

// start starts everything: one gateway, since the clients' side is the same for
// all numbers of nodes.
func (p *plant) start(ctx context.Context, nodes int) (err error) {
	if p.temp, err = os.MkdirTemp("", "skein-bench-"); err != nil {
		return err
	}
	if p.store, err = startShared(p.cfg); err != nil {
		return err
	}
	secret := filepath.Join(p.temp, "cluster.secret")
	if _, err := account.LoadOrCreateSecret(secret, "cl_"); err != nil {
		return err
	}
	common := append(slices.Clip(p.store.args), "--cluster-secret", secret)
	for i := range nodes {
		err := p.startRole(ctx, "mailbox", append(slices.Clip(common), "--role-listen", "127.0.0.1:0", "--node", fmt.Sprint("mailbox", i+1)))
		if err != nil {
			return err
		}
	}
	return p.startRole(ctx, "gateway", append(slices.Clip(common), "--http", "127.0.0.1:0", "--link", "127.0.0.1:0", "--node", "gateway1"))
}

func (p *plant) startRole(ctx context.Context, role string, args []string) error {
	data := filepath.Join(p.temp, fmt.Sprint(role, len(p.roles[role])))
	s, err := startRole(ctx, p.cfg.Chat.Program, role, data, append(args, p.cfg.Chat.ServerArgs...))
	if err == nil {
		p.roles[role] = append(p.roles[role], s)
	}
	return err
}

// stop stops everything, what depends on others first.
func (p *plant) stop() error {
	var errs []error
	for _, role := range []string{"gateway", "mailbox"} {
		for _, s := range p.roles[role] {
			errs = append(errs, s.stop())
		}
	}
	if p.store != nil {
		errs = append(errs, p.store.stop())
	}
	return errors.Join(append(errs, os.RemoveAll(p.temp))...)
}

// probe reads what everything has used, and counted.
func (p *plant) probe(ctx context.Context, failed *firstError) Probe {
	probe := Probe{CPU: map[string]time.Duration{}, Counters: map[string]float64{}}
	for role, servers := range p.roles {
		for _, s := range servers {
			probe.CPU[role] += readServer([]int{s.cmd.Process.Pid}).all.cpu
			if err := scrape(ctx, &p.http, s.Ops, scaleMetrics, probe.Counters); err != nil {
				failed.fail(err)
			}
		}
	}
	probe.CPU[p.cfg.Store] = p.store.cpu()
	return probe
}
