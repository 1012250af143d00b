package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// explainUsage makes mistakes on the command line say what would be right: the
// usage where arguments are wrong, the commands where one does not exist.
func explainUsage(root *cobra.Command) {
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; '%s --help' lists the flags", err, cmd.CommandPath())
	})
	explainArgs(root)
}

func explainArgs(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainArgs(sub)
	}
	if cmd.HasSubCommands() && !cmd.Runnable() {
		// Without this, cobra shows the help of the group and calls it a success.
		cmd.Args, cmd.RunE, cmd.DisableFlagsInUseLine = cobra.ArbitraryArgs, chooseCommand, true
		return
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
}

// chooseCommand is what a command does that has only others below it.
func chooseCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	near := ""
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
		near = fmt.Sprintf("; did you mean '%s %s'?", cmd.CommandPath(), names[0])
	}
	return fmt.Errorf("there is no command '%s %s'%s; '%s --help' lists them", cmd.CommandPath(), args[0], near, cmd.CommandPath())
}

// advice is what to do about an error that many commands can meet; "" where the
// error says it, or nobody knows.
func advice(err error) string {
	var op *net.OpError
	var remote *connect.Error
	var e *im.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &op) && op.Addr != nil:
		return fmt.Sprintf("nothing listens at %s: start what should, or give the address where it is; a node prints its addresses when it starts", op.Addr)
	case errors.As(err, &e) && e.At != nil && len(e.At.HTTP) > 0:
		return fmt.Sprintf("ask there: %s, with the operator's token of that region", strings.Join(e.At.HTTP, " or "))
	case errors.As(err, &e) && e.Kind == im.Unauthenticated && strings.Contains(e.Detail, "operator"):
		return "it is operator.token in the data directory of that node (--token-file)"
	case errors.As(err, &remote) && remote.Code() == connect.CodeUnimplemented && strings.Contains(remote.Message(), "404"):
		return "there is no HTTP API at this address: give the one that the node calls HTTP API, 127.0.0.1:7080 by default"
	}
	return ""
}

// asked is an error of a server as the documents name it: connect knows fewer
// kinds than there are.
func asked(err error) error {
	var remote *connect.Error
	if !errors.As(err, &remote) {
		return err
	}
	for _, d := range remote.Details() {
		if m, failed := d.Value(); failed == nil {
			if e, ok := m.(*skeinv1.Error); ok {
				return wire.ErrorFromProto(e)
			}
		}
	}
	return err
}

// opsError is why a node did not do what an operator asked for.
func opsError(url string, res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	switch res.StatusCode {
	case http.StatusNotFound:
		return im.Errorf(im.NotFound, "%s answered %s: give the address that the node calls operations, 127.0.0.1:7070 by default", url, res.Status)
	case http.StatusUnauthorized:
		return im.Errorf(im.Unauthenticated, "%s answered %s: this is not its operator's token", url, res.Status)
	}
	return fmt.Errorf("the node at %s answered %s: %s", url, res.Status, strings.TrimSpace(string(text)))
}
