package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skein-im/skein/internal/config"
)

// documents are the texts that tell people what to type.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		names, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.Base(name)] = string(text)
		}
	}
	return texts
}

// Every command line in the documents is one that the program takes: what is in
// blocks as it is, what is in sentences as far as it goes.
func TestDocumentedCommands(t *testing.T) {
	found := 0
	for name, text := range documents(t) {
		blocks, sentences := splitCode(text)
		for _, block := range blocks {
			for _, line := range commandLines(block) {
				found++
				if err := tryWhole(line); err != nil {
					t.Errorf("%s: skein %s\n\t%v", name, strings.Join(line, " "), err)
				}
			}
		}
		for _, span := range sentences {
			for _, line := range commandLines(span) {
				found++
				if err := tryPart(line); err != nil {
					t.Errorf("%s: `skein %s`\n\t%v", name, strings.Join(line, " "), err)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d command lines were found", found)
	}
}

// Every example in a command's own help is one that the program takes.
func TestHelpExamples(t *testing.T) {
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		if !group(cmd) && !cmd.Hidden && cmd.Example == "" && cmd.HasFlags() && cmd.Name() != "help" && cmd.Parent().Name() != "completion" {
			t.Errorf("%s: has flags and no example", cmd.CommandPath())
		}
		// What a line does may stand behind it, without a mark.
		for _, line := range commandLines(remark.ReplaceAllString(cmd.Example, "")) {
			if err := tryWhole(line); err != nil {
				t.Errorf("%s --help: skein %s\n\t%v", cmd.CommandPath(), strings.Join(line, " "), err)
			}
		}
	})
}

var remark = regexp.MustCompile(`(?m)\b {3,}.*$`)

// notOurs are flags of other programs that the documents name.
var notOurs = map[string]bool{"--config.file": true, "--appendonly": true}

// Every flag that a document names is one of some command.
func TestDocumentedFlags(t *testing.T) {
	known := map[string]bool{"help": true}
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	})
	flag := regexp.MustCompile("^--([a-z][a-z-]*[a-z])")
	for name, text := range documents(t) {
		_, sentences := splitCode(text)
		for _, span := range sentences {
			if m := flag.FindStringSubmatch(span); m != nil && !known[m[1]] && !notOurs[m[0]] {
				t.Errorf("%s names `%s`, which no command has", name, span)
			}
		}
	}
}

func eachCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, do)
	}
}

var (
	codeBlock = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	codeSpan  = regexp.MustCompile("`([^`]+)`")
)

// splitCode gives what stands in blocks, and what stands in sentences.
func splitCode(text string) (blocks, spans []string) {
	for _, m := range codeBlock.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	for _, m := range codeSpan.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		spans = append(spans, strings.ReplaceAll(m[1], "\n", " "))
	}
	return blocks, spans
}

var (
	assignment = regexp.MustCompile(`^([A-Z]+)="([^"]*)"$`)
	program    = regexp.MustCompile(`^(.*/)?skein$`)
	// substituted is what the shell would fill in.
	substituted = regexp.MustCompile(`\$\([^)]*\)|\$\{?[A-Z]+\}?`)
)

// commandLines are the arguments of each call of skein in a piece of shell.
func commandLines(block string) (lines [][]string) {
	vars := map[string]string{}
	block = strings.ReplaceAll(block, "\\\n", " ")
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if m := assignment.FindStringSubmatch(line); m != nil {
			vars[m[1]] = m[2]
			continue
		}
		line = substituted.ReplaceAllStringFunc(line, func(s string) string {
			if v, ok := vars[strings.Trim(s, "${}")]; ok {
				return v
			}
			return "X"
		})
		lines = append(lines, calls(shellWords(line))...)
	}
	return lines
}

// calls finds the calls of skein in the words of one line.
func calls(words []string) (calls [][]string) {
	for len(words) > 0 {
		end := 0
		for end < len(words) && !separator(words[end]) {
			end++
		}
		call := words[:end]
		words = words[min(end+1, len(words)):]
		if len(call) > 0 && program.MatchString(call[0]) {
			calls = append(calls, call[1:])
		}
	}
	return calls
}

func separator(word string) bool {
	switch word {
	case "&", "&&", "|", "||", ";", ">", ">>", "<":
		return true
	}
	return false
}

// shellWords splits a line as a shell does, up to a comment.
func shellWords(line string) (words []string) {
	var word strings.Builder
	quote, in := rune(0), false
	done := func() {
		if in {
			words = append(words, word.String())
			word.Reset()
		}
		in = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == '#' && !in:
			return words
		case r == ';':
			done()
			words = append(words, ";")
		case r == ' ':
			done()
		default:
			in = true
			word.WriteRune(r)
		}
	}
	done()
	return words
}

// group reports whether a command does nothing but have others.
func group(cmd *cobra.Command) bool { return cmd.HasSubCommands() && !cmd.HasFlags() }

// tryPart holds the beginning of a command line, as sentences have it, against
// the commands and the names of their flags.
func tryPart(args []string) error {
	cmd, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 && group(cmd) && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("unknown command %q for %q", rest[0], cmd.CommandPath())
	}
	cmd.InitDefaultHelpFlag()
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && name != "" && cmd.Flag(name) == nil {
			return fmt.Errorf("unknown flag --%s of %q", name, cmd.CommandPath())
		}
	}
	return nil
}

// tryWhole reads a command line without obeying it: it has all that the command
// needs, and settings that are valid.
func tryWhole(args []string) error {
	cmd, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return err
	} else if err != nil {
		return nil
	}
	if group(cmd) {
		return fmt.Errorf("%q needs another word", cmd.CommandPath())
	}
	if err := errors.Join(cmd.ValidateArgs(cmd.Flags().Args()), cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
		return err
	}
	cfg := config.Default()
	for _, s := range config.Settings() {
		// Commands that run no node have flags of the same names.
		if f := cmd.Flag(flagName(s.Key)); f != nil && f.Changed && f.Usage == s.Help {
			if err := cfg.Set(s.Key, f.Value.String()); err != nil {
				return err
			}
		}
	}
	return cfg.Validate()
}
