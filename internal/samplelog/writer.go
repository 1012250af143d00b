package samplelog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/skein-im/skein/internal/im"
)

// Config is what a Writer needs.
type Config struct {
	Dir string
	// MaxBytes bounds all files, FileBytes one before it is compressed; 0
	// means DefaultMaxBytes and DefaultFileBytes.
	MaxBytes, FileBytes int64
	// Retry is how long to wait after a failure, in seconds; 0: 10.
	Retry int64
	// Create makes a file; nil: os.Create.
	Create func(path string) (io.WriteCloser, error)
}

// Defaults of Config.
const (
	DefaultMaxBytes  = 256 << 20
	DefaultFileBytes = 16 << 20
	defaultRetry     = 10
)

// Sample is the value of a series.
type Sample struct {
	Name string
	// Merge is "sum", "max" or "min".
	Merge string
	Value float64
}

// Stats are counters of a Writer.
type Stats struct {
	// Bytes were written in this process's life, Lost samples (whole seconds)
	// and events were not.
	Bytes, Lost uint64
	// Err is why the last write failed; nil: it did not.
	Err error
}

// Writer writes to the newest file. Its methods may be called from everywhere.
type Writer struct {
	cfg  Config
	lock io.Closer

	mu      sync.Mutex
	file    io.WriteCloser
	path    string
	size    int64
	series  map[string]*written
	turn    uint64
	buf     bytes.Buffer
	retryAt int64
	stats   Stats
	// packing are the goroutines that compress; packMu lets one do it.
	packing sync.WaitGroup
	packMu  sync.Mutex
}

// written is what the current file says of a series.
type written struct {
	id    int
	value float32
	// turn is when it had a value last; 0: never.
	turn uint64
}

// Open takes a directory for writing. It is im.Busy while another process has
// it.
func Open(cfg Config) (*Writer, error) {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, DefaultMaxBytes)
	cfg.FileBytes = min(cmp.Or(cfg.FileBytes, DefaultFileBytes), cfg.MaxBytes/4)
	cfg.Retry = cmp.Or(cfg.Retry, defaultRetry)
	if cfg.Create == nil {
		cfg.Create = func(path string) (io.WriteCloser, error) {
			return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, im.Errorf(im.Unavailable, "the directory for samples cannot be made: %w", err)
	}
	held, err := lock(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	w := &Writer{cfg: cfg, lock: held}
	// What a process that died has left.
	left, err := Files(cfg.Dir)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	w.pack(left...)
	return w, nil
}

// Append writes the values of a second.
func (w *Writer) Append(at int64, samples []Sample) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(at); err != nil {
		return err
	}
	w.turn++
	w.buf.Reset()
	w.name(samples)
	w.buf.WriteString("t ")
	w.number(at)
	for _, s := range samples {
		o, v := w.series[s.Name], float32(s.Value)
		if o.turn == 0 || o.value != v {
			w.buf.WriteByte(' ')
			w.number(int64(o.id))
			w.buf.WriteByte('=')
			w.buf.Write(strconv.AppendFloat(w.buf.AvailableBuffer(), float64(v), 'g', -1, 32))
		}
		o.value, o.turn = v, w.turn
	}
	w.gone()
	w.buf.WriteByte('\n')
	return w.flush(at)
}

// name says what new series are called.
func (w *Writer) name(samples []Sample) {
	for _, s := range samples {
		if w.series[s.Name] != nil {
			continue
		}
		o := &written{id: len(w.series), value: float32(math.NaN())}
		w.series[s.Name] = o
		w.buf.WriteString("n ")
		w.number(int64(o.id))
		w.buf.WriteString(" " + s.Merge + " " + s.Name + "\n")
	}
}

// gone says which series have no value any more.
func (w *Writer) gone() {
	for _, o := range w.series {
		if o.turn != w.turn && o.turn != 0 {
			w.buf.WriteByte(' ')
			w.number(int64(o.id))
			w.buf.WriteByte('=')
			o.turn = 0
		}
	}
}

func (w *Writer) number(n int64) { w.buf.Write(strconv.AppendInt(w.buf.AvailableBuffer(), n, 10)) }

// Event writes that something happened; v is written as JSON.
func (w *Writer) Event(at int64, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return im.Errorf(im.Invalid, "an event that cannot be written: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ready(at); err != nil {
		return err
	}
	w.buf.Reset()
	w.buf.WriteString("e ")
	w.number(at)
	w.buf.WriteByte(' ')
	w.buf.Write(text)
	w.buf.WriteByte('\n')
	return w.flush(at)
}

// ready makes sure that there is a file to write to.
func (w *Writer) ready(at int64) error {
	if w.file != nil {
		return nil
	}
	// A clock that was set back does not make it wait for longer.
	if at < w.retryAt && w.retryAt-at <= w.cfg.Retry {
		w.stats.Lost++
		return w.stats.Err
	}
	if err := w.begin(); err != nil {
		return w.fail(at, err)
	}
	return nil
}

// begin opens the next file.
func (w *Writer) begin() error {
	files, err := Files(w.cfg.Dir)
	if err != nil {
		return err
	}
	next := 1
	if len(files) > 0 {
		next = files[len(files)-1].Number + 1
	}
	if err := removeOldest(files, w.cfg.MaxBytes-w.cfg.FileBytes); err != nil {
		return err
	}
	path := filepath.Join(w.cfg.Dir, fileName(next))
	f, err := w.cfg.Create(path)
	if err != nil {
		return err
	}
	w.file, w.path, w.size, w.series = f, path, 0, map[string]*written{}
	if _, err := io.WriteString(f, magic+"\n"); err != nil {
		return err
	}
	return nil
}

// flush writes what was put together, and ends a file that is full.
func (w *Writer) flush(at int64) error {
	n, err := w.file.Write(w.buf.Bytes())
	w.size += int64(n)
	w.stats.Bytes += uint64(n)
	if err != nil {
		return w.fail(at, err)
	}
	w.stats.Err = nil
	if w.size >= w.cfg.FileBytes {
		return w.end()
	}
	return nil
}

// fail gives the file up for a while.
func (w *Writer) fail(at int64, err error) error {
	w.stats.Lost++
	w.stats.Err = im.Errorf(im.Unavailable, "samples cannot be written: %w", err)
	w.retryAt = at + w.cfg.Retry
	if w.file != nil {
		_ = w.end()
	}
	return w.stats.Err
}

// end closes the file and compresses it.
func (w *Writer) end() error {
	err := w.file.Close()
	w.file = nil
	w.pack(File{Path: w.path})
	return err
}

// Stats reads the counters.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Close ends the file and lets others have the directory.
func (w *Writer) Close() error {
	w.mu.Lock()
	var err error
	if w.file != nil {
		err = w.file.Close()
		w.file = nil
	}
	w.mu.Unlock()
	w.packing.Wait()
	return cmp.Or(err, w.lock.Close())
}
