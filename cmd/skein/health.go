package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/config"
)

func newHealthCommand() *cobra.Command {
	var f healthFlags
	cmd := &cobra.Command{
		Use:   "health [NODE]",
		Short: "Ask a node whether clients should be sent to it",
		Long: `Asks the node whose operations address is NODE, or the one that the settings
describe, whether clients should be sent to it; where nothing is said of that, it
asks 'skein serve' or a gateway at 7070, or else a mailbox at 7072. The exit status
is 0 if so, and 1 if it is starting, stopping, or does not keep its promises just
now; the reason is printed. With --live the answer does not matter, only that there
is one: for those who start again what hangs.

It finds settings as 'skein serve' does, and the operator's token, which a node
asks for when its operations address is not on loopback, in the data directory.
So it needs no arguments where the environment or --config has them, as in a
container.`,
		Example: `  skein health
  skein health 10.0.0.7:7070 --token-file /etc/skein/operator.token
  skein health --config /etc/skein/skein.toml --live`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(f.config, changedFlags(cmd.Flags()))
			if err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{opsHere(cfg.Ops, listens)}
			}
			if f.token.tokenFile == "" {
				f.token.tokenFile = filepath.Join(cfg.Data, account.OperatorTokenFile)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			return f.ask(ctx, base(args[0]), cmd.OutOrStdout())
		},
	}
	f.add(cmd)
	return cmd
}

// healthFlags are what 'skein health' is told.
type healthFlags struct {
	token   operatorFlags
	config  string
	live    bool
	timeout time.Duration
}

func (f *healthFlags) add(cmd *cobra.Command) {
	f.token.add(cmd)
	flags := cmd.Flags()
	token := flags.Lookup("token-file")
	token.DefValue, token.Usage = "", token.Usage+"; empty: operator.token in the data directory"
	f.token.tokenFile = ""
	for _, s := range config.Settings() {
		if s.Key == "data" || s.Key == "ops" {
			addSetting(flags, s)
		}
	}
	flags.StringVar(&f.config, "config", "", "TOML file with settings")
	flags.BoolVar(&f.live, "live", false, "be content with any answer")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
}

// here is how this machine reaches an address where a node listens.
func here(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// opsHere is where a node on this machine is asked: at its operations address, or
// at that of a mailbox if nobody has chosen one and only there somebody listens.
func opsHere(ops string, listens func(addr string) bool) string {
	if ops != config.Default().Ops || listens(ops) {
		return here(ops)
	}
	if mailbox := config.DefaultFor("mailbox").Ops; listens(mailbox) {
		return mailbox
	}
	return ops
}

func listens(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// ask asks a node once and prints how it is.
func (f *healthFlags) ask(ctx context.Context, url string, out io.Writer) error {
	path := "/readyz"
	if f.live {
		path = "/healthz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
	if err != nil {
		return err
	}
	switch token, err := f.token.token(); {
	case err == nil:
		req.Header.Set("Authorization", "Bearer "+token)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the node at %s does not answer: %w", url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("the node at %s does not answer: %w", url, err)
	}
	return f.judge(out, res.StatusCode, strings.TrimSpace(string(text)))
}

// judge prints what a node said of itself.
func (f *healthFlags) judge(out io.Writer, status int, text string) error {
	good := f.live || status == http.StatusOK
	if f.token.asJSON {
		if err := json.NewEncoder(out).Encode(map[string]any{"ok": good, "status": status, "text": text}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(out, text)
	}
	return statusOf(good, nil)
}
