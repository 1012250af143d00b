package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/gen/skein/v1/skeinv1connect"
	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/node"
)

// operatorFlags are those of commands that ask a running node for something.
type operatorFlags struct {
	tokenFile string
	asJSON    bool
}

func (f *operatorFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tokenFile, "token-file", filepath.Join(config.Default().Data, account.OperatorTokenFile), "file with the operator's token")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one line of JSON")
}

func (f *operatorFlags) token() (string, error) {
	text, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("cannot read the operator's token, which is in the server's data directory (--token-file): %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// user is the number of a user whom a person names or numbers.
func (f *operatorFlags) user(ctx context.Context, node, who string) (uint64, error) {
	if n, err := strconv.ParseUint(strings.TrimPrefix(who, "#"), 10, 64); err == nil {
		return n, nil
	}
	bearer, err := f.bearer()
	if err != nil {
		return 0, err
	}
	res, err := skeinv1connect.NewAdminServiceClient(http.DefaultClient, base(node), bearer).
		FindUser(ctx, connect.NewRequest(&skeinv1.FindUserRequest{Name: who}))
	if err != nil {
		return 0, fmt.Errorf("cannot find user %q: %w", who, err)
	}
	return res.Msg.User, nil
}

// bearer makes a client of a node's services send the token.
func (f *operatorFlags) bearer() (connect.ClientOption, error) {
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("Authorization", "Bearer "+token)
			res, err := next(ctx, req)
			return res, asked(err)
		}
	})), nil
}

// base makes a URL of what a person gives as a node's address.
func base(node string) string {
	if strings.Contains(node, "://") {
		return strings.TrimRight(node, "/")
	}
	return "http://" + node
}

func newDrainCommand() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Send a node's clients elsewhere and stop it",
		Long: `Makes the node whose operations address is NODE stop: it accepts no more
clients, tells those it has to connect elsewhere, a few at a time, finishes what
it has taken on, and exits. Nothing is lost, and nothing arrives twice. The
command returns when the node has gone.`,
		Example: `  skein drain 127.0.0.1:7070
  skein drain http://10.0.0.7:7070 --token-file /etc/skein/operator.token`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := f.token()
			if err != nil {
				return err
			}
			return drain(cmd.Context(), base(args[0]), token, f.asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.add(cmd)
	return cmd
}

// drainLook is how often a draining node is asked how many links it has left.
const drainLook = 500 * time.Millisecond

func drain(ctx context.Context, url, token string, asJSON bool, out, progress io.Writer) error {
	began := time.Now()
	status, err := askDrain(ctx, http.MethodPost, url, token)
	if err != nil {
		return err
	}
	links := status.Links
	for told := time.Now(); err == nil; status, err = askDrain(ctx, http.MethodGet, url, token) {
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			fmt.Fprintf(progress, "%d links left\n", status.Links)
		}
		select {
		case <-time.After(drainLook):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		return err
	}
	took := time.Since(began)
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"links": links, "seconds": took.Seconds()})
	}
	fmt.Fprintf(out, "The node had %d links and has stopped after %.1f s.\n", links, took.Seconds())
	return nil
}

// askDrain asks a node's ops listener about draining.
func askDrain(ctx context.Context, method, url, token string) (status node.DrainStatus, err error) {
	err = askOps(ctx, method, url, "/drain", "", token, &status)
	return status, err
}

// askOps asks a node's ops listener, as the operator.
func askOps(ctx context.Context, method, url, path, body, token string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return opsError(url, res)
	}
	return json.NewDecoder(io.LimitReader(res.Body, 1<<10)).Decode(answer)
}

func newNotifyCommand() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "notify NODE TEXT",
		Short: "Show a notice to everyone who is connected to a node",
		Long: `Shows a notice to everyone who is connected to the node whose HTTP address is
NODE. Notices are not kept: who is not connected does not get them.`,
		Example: `  skein notify 127.0.0.1:7080 "We restart at 22:00; you will hardly notice."`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			bearer, err := f.bearer()
			if err != nil {
				return err
			}
			req := connect.NewRequest(&skeinv1.NotifyRequest{Content: &skeinv1.Content{
				Type: skeinv1.ContentType_CONTENT_TYPE_TEXT, Body: []byte(args[1]),
			}})
			res, err := skeinv1connect.NewAdminServiceClient(http.DefaultClient, base(args[0]), bearer).Notify(cmd.Context(), req)
			if err != nil {
				return err
			}
			if f.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]uint64{"id": res.Msg.Id, "reached": res.Msg.Reached})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d links were told.\n", res.Msg.Reached)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
