package supervise

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// lines cuts what is written to it into lines. A line is passed on without
// its end; one that is longer than max in pieces, of which whole is false for
// all but the last.
type lines struct {
	max  int
	line func(b []byte, whole bool)
	buf  []byte
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		take := min(len(p), l.max-len(l.buf))
		switch {
		case i >= 0 && i <= take:
			l.pass(p[:i], true)
			p = p[i+1:]
		case take < len(p):
			l.pass(p[:take], false)
			p = p[take:]
		default:
			l.buf = append(l.buf, p...)
			p = nil
		}
	}
	return n, nil
}

// pass passes on what is kept, and b behind it.
func (l *lines) pass(b []byte, whole bool) {
	if len(l.buf) > 0 {
		b = append(l.buf, b...)
		// A buffer that one long line needed is not kept for short ones.
		if l.buf = b[:0]; cap(b) > 4<<10 {
			l.buf = nil
		}
	}
	l.line(b, whole)
}

// flush passes on a last line that had no end.
func (l *lines) flush() {
	if len(l.buf) > 0 {
		l.pass(nil, true)
	}
}

// Bounds of what is kept of a worker's standard error, and of a line that is
// passed on in one piece.
const (
	tailLines = 20
	tailBytes = 4 << 10
	stderrMax = 64 << 10
)

// stderr is the supervisor's standard error, shared by its workers: their
// lines stay whole.
type stderr struct {
	mu  sync.Mutex
	to  io.Writer
	buf []byte
}

func (s *stderr) write(line []byte, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf[:0], line...)
	if whole {
		s.buf = append(s.buf, '\n')
	}
	// There is nowhere to complain to.
	_, _ = s.to.Write(s.buf)
}

// tail keeps the last lines of a worker.
type tail struct {
	mu    sync.Mutex
	lines []string
	bytes int
}

func (t *tail) add(line []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := string(line[:min(len(line), tailBytes)])
	t.lines = append(t.lines, s)
	t.bytes += len(s)
	for len(t.lines) > tailLines || t.bytes > tailBytes {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
