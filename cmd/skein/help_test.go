package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// help is what a command prints with --help.
func help(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetArgs(append(args, "--help"))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Whoever asks for help gets examples, and every role is among those of the program.
func TestHelpHasExamples(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"skein serve", "skein mailbox", "skein gateway", "skein router", "skein relay", "skein chat"}},
		{[]string{"relay"}, []string{"skein relay cert east west", "skein relay --store redis", "--relay-listen", "skein region status"}},
		{[]string{"relay", "cert"}, []string{"skein relay cert east west"}},
		{[]string{"router"}, []string{"skein router --store redis", "/v1/addresses"}},
	} {
		text := help(t, tc.args...)
		_, examples, ok := strings.Cut(text, "Examples:\n")
		if !ok {
			t.Errorf("skein %s --help has no examples", strings.Join(tc.args, " "))
		}
		for _, want := range tc.want {
			if !strings.Contains(examples, want) {
				t.Errorf("the examples of 'skein %s --help' say nothing of %q", strings.Join(tc.args, " "), want)
			}
		}
	}
}

// Every command that is not a group of others has an example.
func TestEveryCommandHasAnExample(t *testing.T) {
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		if !c.HasSubCommands() && c.Runnable() && !c.Hidden && c.Example == "" && c.Name() != "help" && c.Name() != "version" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			look(sub)
		}
	}
	look(newRootCommand())
}
