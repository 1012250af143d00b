package wire

import (
	stdbytes "bytes"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/skein-im/skein/internal/im"
)

// readAll is what a Reader makes of a source, until it ends.
func readAll(src io.Reader, size, limit int) (all []byte, err error) {
	r := NewReader(src, size)
	for {
		t, payload, err := r.Frame(limit)
		if err != nil {
			return all, err
		}
		all = AppendFrame(all, t, payload)
	}
}

// Frames of all sizes come out as they went in, however they arrive.
func TestReader(t *testing.T) {
	var sent []byte
	for i := range 3000 {
		sent = AppendFrame(sent, Type(i), stdbytes.Repeat([]byte{byte(i)}, i*i%5000))
	}
	for name, src := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader,
		"halves": iotest.HalfReader, "with the end": iotest.DataErrReader,
	} {
		for _, size := range []int{1, 1 << 10, 64 << 10} {
			got, err := readAll(src(stdbytes.NewReader(sent)), size, 5000)
			if err != io.EOF || !stdbytes.Equal(got, sent) {
				t.Errorf("%s, %d: %d bytes, want %d, %v", name, size, len(got), len(sent), err)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	whole := AppendFrame(nil, TypeSend, make([]byte, 300))
	if _, err := readAll(stdbytes.NewReader(whole[:200]), 0, 300); err != io.ErrUnexpectedEOF {
		t.Errorf("half a frame: %v", err)
	}
	if _, err := readAll(stdbytes.NewReader(whole), 0, 299); im.KindOf(err) != im.TooLarge {
		t.Errorf("a frame over the limit: %v", err)
	}
	if _, err := readAll(stdbytes.NewReader([]byte{5, 0x80, 0x80, 0x80, 0x80, 0x80}), 0, 300); im.KindOf(err) != im.Invalid {
		t.Errorf("an endless length: %v", err)
	}
}

// What is announced costs nothing before it comes, and nothing once it is used.
func TestReaderHoldsWhatHasCome(t *testing.T) {
	const limit = 64 << 20
	big := AppendFrame(nil, TypeSend, make([]byte, limit))
	near, far := net.Pipe()
	defer far.Close()
	r := NewReader(far, 1<<10)
	go func() { _, _ = near.Write(big[:100<<10]); near.Close() }()
	if _, _, err := r.Frame(limit); err != io.ErrUnexpectedEOF || len(r.buf) > 200<<10 {
		t.Fatalf("the buffer has %d bytes for 100 KiB, %v", len(r.buf), err)
	}
	r = NewReader(stdbytes.NewReader(append(big, 1, 0)), 1<<10)
	if _, payload, err := r.Frame(limit); err != nil || len(payload) != limit || len(r.buf) > len(big)+smallest {
		t.Fatalf("%d bytes in a buffer of %d, %v", len(payload), len(r.buf), err)
	}
	if _, _, err := r.Frame(limit); err != nil {
		t.Error(err)
	}
	if _, _, err := r.Frame(limit); err != io.EOF || len(r.buf) != 1<<10 {
		t.Errorf("then the buffer has %d bytes, %v", len(r.buf), err)
	}
}

// A Reader that goes on elsewhere has what was read before.
func TestReaderReset(t *testing.T) {
	sent := AppendFrame(AppendFrame(nil, TypeSend, make([]byte, 900)), TypeAck, make([]byte, 900))
	r := NewReader(stdbytes.NewReader(sent[:1000]), 1<<10)
	if _, _, err := r.Frame(900); err != nil {
		t.Fatal(err)
	}
	r.Reset(stdbytes.NewReader(sent[1000:]), 4<<10)
	if typ, payload, err := r.Frame(900); err != nil || typ != TypeAck || len(payload) != 900 || len(r.buf) != 4<<10 {
		t.Errorf("%v of %d bytes, %v", typ, len(payload), err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(AppendFrame(AppendPing(nil), TypeSend, make([]byte, 700)), 0, 64)
	f.Add([]byte{5, 0xff, 0xff, 0xff, 0xff, 0x7f}, 100, 1<<20)
	f.Fuzz(func(t *testing.T, b []byte, size, limit int) {
		size, limit = size&0xfff, limit&(1<<24-1)
		var want []byte
		rest := b
		for {
			typ, payload, n, err := Parse(rest, limit)
			if err != nil || n == 0 {
				break
			}
			want, rest = AppendFrame(want, typ, payload), rest[n:]
		}
		for _, src := range []io.Reader{stdbytes.NewReader(b), iotest.HalfReader(stdbytes.NewReader(b))} {
			got, err := readAll(src, size, limit)
			if _, _, _, bad := Parse(rest, limit); (bad != nil) != (im.KindOf(err) == im.TooLarge || im.KindOf(err) == im.Invalid) {
				t.Fatalf("%v, want %v", err, bad)
			}
			if !stdbytes.Equal(got, want) || (err == io.EOF) != (len(rest) == 0) {
				t.Fatalf("%x, %v; want %x and %x left", got, err, want, rest)
			}
		}
	})
}

// A write goes on as long as the other end takes something, and no longer.
func TestPaced(t *testing.T) {
	slow := &slowConn{steps: 2}
	p := Paced{slow, time.Minute}
	if n, err := p.Write(make([]byte, 3*writeStep)); err != os.ErrDeadlineExceeded || n != 2*writeStep || slow.deadlines != 3 {
		t.Errorf("%d bytes left with %d deadlines, %v", n, slow.deadlines, err)
	}
	slow.steps = 1
	if n, err := p.Write(nil); n != 0 || err != nil || slow.steps != 1 {
		t.Errorf("writing nothing: %d, %v", n, err)
	}
	if _, err := p.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded || slow.deadlines != 4 {
		t.Errorf("reading from who is silent: %v", err)
	}
}

// slowConn takes some steps of a write and counts the deadlines that it is given.
type slowConn struct {
	net.Conn
	steps, deadlines int
}

func (c *slowConn) SetReadDeadline(at time.Time) error  { return c.SetWriteDeadline(at) }
func (c *slowConn) SetWriteDeadline(at time.Time) error { c.deadlines++; return nil }
func (c *slowConn) Read([]byte) (int, error)            { return 0, os.ErrDeadlineExceeded }

func (c *slowConn) Write(b []byte) (int, error) {
	if c.steps == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	c.steps--
	return len(b), nil
}

// repeated is a source without an end.
type repeated struct {
	b  []byte
	at int
}

func (s *repeated) Read(p []byte) (int, error) {
	n := copy(p, s.b[s.at:])
	s.at = (s.at + n) % len(s.b)
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	var all []byte
	for range 1000 {
		all = AppendFrame(all, TypeSend, make([]byte, 300))
	}
	r := NewReader(&repeated{b: all}, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, payload, err := r.Frame(1 << 20); err != nil {
			b.Fatal(err)
		} else {
			runtime.KeepAlive(payload)
		}
	}
}
