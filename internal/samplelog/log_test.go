package samplelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func open(t *testing.T, cfg Config) *Writer {
	t.Helper()
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// text is what a directory says, a line for each second and event.
func text(t *testing.T, dir string) (string, Reading) {
	t.Helper()
	var b strings.Builder
	r, err := ReadDir(dir, Handler{
		Samples: func(at int64, samples []Sample) {
			fmt.Fprintf(&b, "%d", at)
			for _, s := range samples {
				fmt.Fprintf(&b, " %s=%g", s.Name, s.Value)
			}
			b.WriteByte('\n')
		},
		Event: func(at int64, text []byte) { fmt.Fprintf(&b, "%d %s\n", at, text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), r
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	for _, s := range [][]Sample{
		{{"a", "sum", 1}, {"b{x=\"y z\"}", "max", 2}},
		{{"a", "sum", 1}},
		{{"a", "sum", 1.5}, {"b{x=\"y z\"}", "max", 2}},
		{},
	} {
		if err := w.Append(int64(100+w.turn), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Event(104, map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	want := "100 a=1 b{x=\"y z\"}=2\n101 a=1\n102 a=1.5 b{x=\"y z\"}=2\n103\n104 {\"n\":1}\n"
	if got, r := text(t, dir); got != want || r != (Reading{Seconds: 4, Events: 1}) {
		t.Errorf("%s%+v", got, r)
	}
}

func TestOneWriterADirectory(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}); im.KindOf(err) != im.Busy {
		t.Errorf("a second one: %v", err)
	}
	if err := w.Append(1, []Sample{{"a", "sum", 1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{Dir: dir})
	if err := again.Append(2, []Sample{{"a", "sum", 2}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := text(t, dir); got != "1 a=1\n2 a=2\n" {
		t.Error(got)
	}
}

func TestFilesRotateWithinTheBound(t *testing.T) {
	dir := t.TempDir()
	const most = 64 << 10
	w := open(t, Config{Dir: dir, MaxBytes: most, FileBytes: 4 << 10})
	for at := range int64(20_000) {
		if err := w.Append(at, []Sample{{"a", "sum", float64(at * at % 7919)}, {"b", "max", float64(at)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum, packedFiles := int64(0), 0
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, _ := e.Info()
		sum += info.Size()
		if strings.HasSuffix(e.Name(), packed) {
			packedFiles++
		}
	}
	got, r := text(t, dir)
	if sum > most || packedFiles < 3 || r.Malformed != 0 || !strings.HasSuffix(got, "19999 a="+fmt.Sprint(19999*19999%7919)+" b=19999\n") {
		t.Errorf("%d bytes, %d compressed files, %+v", sum, packedFiles, r)
	}
}

// disk is full after some bytes, until it is given more.
type disk struct {
	io.WriteCloser
	room *int
}

func (d disk) Write(b []byte) (int, error) {
	n := min(*d.room, len(b))
	*d.room -= n
	if _, err := d.WriteCloser.Write(b[:n]); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestFullDisk(t *testing.T) {
	dir, room := t.TempDir(), 60
	w := open(t, Config{Dir: dir, Create: func(path string) (io.WriteCloser, error) {
		f, err := os.Create(path)
		return disk{f, &room}, err
	}})
	failed := 0
	for at := int64(100); at < 140; at++ {
		if at == 120 {
			room = 1 << 20
		}
		if err := w.Append(at, []Sample{{"a", "sum", float64(at)}}); err != nil {
			failed++
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
	}
	st := w.Stats()
	got, r := text(t, dir)
	if failed == 0 || int(st.Lost) != failed || st.Err != nil || r.Seconds != 40-failed && r.Seconds != 41-failed {
		t.Errorf("%d failed, %+v, %+v", failed, st, r)
	}
	if !strings.HasPrefix(got, "100 a=100\n101 a=101\n") || !strings.HasSuffix(got, "139 a=139\n") {
		t.Error(got)
	}
}

func TestDamagedFilesAreReadAsFarAsTheyGo(t *testing.T) {
	dir := t.TempDir()
	w := open(t, Config{Dir: dir})
	for at := range int64(10) {
		_ = w.Append(at, []Sample{{"a", "sum", float64(at)}})
	}
	_ = w.Close()
	path := filepath.Join(dir, fileName(1))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := append(b[:len(b)-3], "\nt x\nt 5 77=1 0=nan 0\n\x00\n"...)
	_ = os.WriteFile(path, cut, 0o600)
	_ = os.WriteFile(filepath.Join(dir, fileName(2)+packed), []byte("no gzip"), 0o600)
	_ = os.WriteFile(filepath.Join(dir, fileName(3)), []byte("something else"), 0o600)
	got, r := text(t, dir)
	if r.Malformed < 4 || !strings.HasPrefix(got, "0 a=0\n1 a=1\n") {
		t.Errorf("%+v\n%s", r, got)
	}
	// The next writer goes on behind them.
	again := open(t, Config{Dir: dir})
	if err := again.Append(20, []Sample{{"a", "sum", 20}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := text(t, dir); !strings.HasSuffix(got, "20 a=20\n") {
		t.Error(got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(magic + "\nn 0 sum a\nt 5 0=1\ne 6 {}\nt 7 0=\n"))
	f.Add([]byte(magic + "\nn 1 sum a\nt -5 0=1e999\nt 99999999999999999999 0=1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seconds := 0
		r, err := Read(bytes.NewReader(b), Handler{Samples: func(at int64, s []Sample) {
			seconds++
			if at < 0 || len(s) > maxSeries {
				t.Fatal("beyond the bounds")
			}
		}})
		if r.Seconds != seconds || err != nil && im.KindOf(err) == im.Internal {
			t.Fatal(r, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	w, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	samples := make([]Sample, 1000)
	for i := range samples {
		samples[i] = Sample{Name: fmt.Sprint("skein_some_metric_total_", i), Merge: "sum"}
	}
	b.ReportAllocs()
	for i := range b.N {
		for j := range 100 {
			samples[j].Value = float64(i * j)
		}
		if err := w.Append(int64(i), samples); err != nil {
			b.Fatal(err)
		}
	}
}
