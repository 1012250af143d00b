package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

// quiet is a worker that answers "echo" and tells why it drained.
func quiet(drained func(Reason)) Worker {
	return Worker{
		Start:    func(context.Context, Input) (any, error) { return "here", nil },
		Handlers: map[string]Handler{"echo": func(_ context.Context, arg json.RawMessage) (any, error) { return arg, nil }},
		Drain: func(_ context.Context, why Reason, _ json.RawMessage) error {
			drained(why)
			return nil
		},
	}
}

const startLine = `{"kind":"start","index":0,"count":1,"body":{}}` + "\n"

// serveText serves what a supervisor says before it dies.
func serveText(ctx context.Context, said string) (out string, reasons []Reason, err error) {
	var b bytes.Buffer
	err = Serve(ctx, io.NopCloser(strings.NewReader(said)), &b, quiet(func(why Reason) { reasons = append(reasons, why) }))
	return b.String(), reasons, err
}

func TestServeUntilTheSupervisorIsGone(t *testing.T) {
	out, reasons, err := serveText(t.Context(), startLine)
	if err != nil || len(reasons) != 1 || reasons[0] != Orphaned {
		t.Errorf("%v, %v", reasons, err)
	}
	if want := `{"kind":"ready","body":"here"}` + "\n" + `{"kind":"draining","name":"orphaned"}` + "\n"; out != want {
		t.Errorf("said %q", out)
	}
}

func TestServeWhatIsNotTheProtocol(t *testing.T) {
	for said, drains := range map[string]bool{
		"":                             false,
		"x\n":                          false,
		`{"kind":"ready"}` + "\n":      false,
		strings.Repeat("x", MaxLine+1): false,
		startLine + startLine:          true,
		startLine + "x\n":              true,
		startLine + `{"kind":"ask","id":0,"name":"echo"}`: true,
		startLine + strings.Repeat(" ", MaxLine+1):        true,
	} {
		_, reasons, err := serveText(t.Context(), said)
		// A reader may find the mistake before the worker has started.
		if err == nil || len(reasons) > 1 || !drains && len(reasons) > 0 {
			t.Errorf("%.60q: %v, %v", said, reasons, err)
		}
		if kind := im.KindOf(err); said != "" && kind != im.Invalid {
			t.Errorf("%.60q: %v", said, err)
		}
	}
}

func TestASignalBeforeTheInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, w := io.Pipe()
	defer w.Close()
	var out bytes.Buffer
	err := Serve(ctx, in, &out, quiet(func(Reason) { t.Error("there is nothing to drain") }))
	if err != nil || out.String() != `{"kind":"draining","name":"signalled"}`+"\n" {
		t.Errorf("%v, %q", err, &out)
	}
}

func TestAStartThatIsNoLongerWanted(t *testing.T) {
	in, w := io.Pipe()
	worker := quiet(func(Reason) { t.Error("there is nothing to drain") })
	worker.Start = func(ctx context.Context, _ Input) (any, error) {
		w.Close() // the supervisor dies
		<-ctx.Done()
		return nil, ctx.Err()
	}
	done := make(chan error)
	go func() { done <- Serve(t.Context(), in, io.Discard, worker) }()
	if _, err := io.WriteString(w, startLine); err != nil {
		t.Fatal(err)
	}
	if err := <-done; im.KindOf(err) != im.Unavailable {
		t.Error(err)
	}
}

func TestWhatAWorkerSaysOfItselfMustFit(t *testing.T) {
	for _, info := range []any{make(chan int), strings.Repeat("x", MaxLine)} {
		in, w := io.Pipe()
		worker := quiet(func(Reason) {})
		worker.Start = func(context.Context, Input) (any, error) { return info, nil }
		go io.WriteString(w, startLine)
		var out bytes.Buffer
		if err := Serve(t.Context(), in, &out, worker); err == nil || !strings.HasPrefix(out.String(), `{"kind":"failed"`) {
			t.Errorf("%v, %.80q", err, &out)
		}
	}
}

func TestErrorsFitIntoALine(t *testing.T) {
	long := im.Errorf(im.Busy, "%s: %w", strings.Repeat("\x01", MaxLine), errors.New("why"))
	line, err := encode(message{Kind: kindAnswer, ID: 1, Error: failureOf(long)})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := decode(line); err != nil || m.Error.Kind != im.Busy {
		t.Errorf("%v", err)
	}
}

// FuzzServe gives a worker anything for a supervisor.
func FuzzServe(f *testing.F) {
	for _, s := range []string{
		"", startLine, startLine + `{"kind":"ask","id":1,"name":"echo","body":[1]}` + "\n" + `{"kind":"drain","body":"x"}`,
		startLine + "{}", startLine + `{"kind":"ask","id":2,"name":"sing"}`, "\n\n", `{"kind":"start","count":-1}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		out, reasons, _ := serveText(t.Context(), said)
		if len(reasons) > 1 {
			t.Errorf("drained %v", reasons)
		}
		for line := range strings.Lines(out) {
			if _, err := decode([]byte(line)); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzTake gives a supervisor anything for a worker.
func FuzzTake(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"kind":"ready","body":{}}`, `{"kind":"failed","error":{"kind":3,"detail":"x"}}`, `{"kind":"failed"}`,
		`{"kind":"answer","id":1,"body":1}`, `{"kind":"draining","name":"x"}`, "x",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		answer := make(chan message, 1)
		p := &process{
			ready: make(chan struct{}), draining: make(chan struct{}), exited: make(chan struct{}),
			pending: map[uint64]chan<- message{1: answer},
		}
		for _, line := range []string{a, b} {
			m, err := decode([]byte(line))
			if err == nil {
				err = p.take(m)
			}
			if err != nil && im.KindOf(err) != im.Invalid {
				t.Errorf("%q: %v", line, err)
			}
		}
	})
}

// FuzzLines cuts text into lines, however it comes.
func FuzzLines(f *testing.F) {
	f.Add("a\n\nbc\n", uint8(2), uint8(3))
	f.Add("no end", uint8(1), uint8(4))
	f.Add("0123456789\nabc", uint8(7), uint8(5))
	f.Fuzz(func(t *testing.T, text string, chunk, most uint8) {
		var joined strings.Builder
		limit := int(most) + 1
		l := &lines{max: limit, line: func(b []byte, whole bool) {
			if len(b) > limit || bytes.ContainsRune(b, '\n') {
				t.Errorf("%q is no line of %d", b, limit)
			}
			joined.Write(b)
			if whole {
				joined.WriteByte('\n')
			}
		}}
		for b := []byte(text); len(b) > 0; {
			n := min(len(b), int(chunk)+1)
			if wrote, err := l.Write(b[:n]); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			b = b[n:]
		}
		l.flush()
		want := text
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		// A piece that fills its line exactly is followed by an empty rest.
		if got := joined.String(); got != want {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func TestTheTailIsBounded(t *testing.T) {
	var l tail
	for range 10 * tailLines {
		l.add(bytes.Repeat([]byte("x"), 10))
	}
	if n := strings.Count(l.String(), "x"); n != 10*tailLines {
		t.Errorf("%d bytes of short lines", n)
	}
	for range 3 {
		l.add(bytes.Repeat([]byte("y"), 10*tailBytes))
	}
	if s := l.String(); len(s) != tailBytes || strings.Contains(s, "x") {
		t.Errorf("%d bytes of long lines", len(s))
	}
}
