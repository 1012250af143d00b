package samplelog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

const (
	// maxLine bounds a line, maxSeries the series of a file.
	maxLine   = 4 << 20
	maxSeries = 1 << 17
)

// Handler hears what a log says.
type Handler struct {
	// Samples hears the values of all series that have one, for a second.
	// The slice is used again.
	Samples func(at int64, samples []Sample)
	// Event hears an event's JSON; nil: events are skipped.
	Event func(at int64, text []byte)
}

// Reading is what was read.
type Reading struct {
	Seconds, Events int
	// Malformed lines were skipped.
	Malformed int
}

// ReadDir reads all files of a directory, oldest first. A file that is removed
// or breaks off meanwhile is no error.
func ReadDir(dir string, h Handler) (Reading, error) {
	var all Reading
	files, err := Files(dir)
	if err != nil {
		return all, err
	}
	for _, f := range files {
		r, err := ReadFile(f.Path, h)
		if errors.Is(err, fs.ErrNotExist) {
			// It was compressed, or removed as the oldest.
			r, err = ReadFile(f.Path+packed, h)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.Malformed++
		}
		all.Seconds += r.Seconds
		all.Events += r.Events
		all.Malformed += r.Malformed
	}
	return all, nil
}

// ReadFile reads one file, compressed if its name says so.
func ReadFile(path string, h Handler) (Reading, error) {
	f, err := os.Open(path)
	if err != nil {
		return Reading{}, im.Errorf(im.NotFound, "the samples cannot be read: %w", err)
	}
	defer f.Close()
	if !strings.HasSuffix(path, packed) {
		return Read(f, h)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return Reading{}, im.Errorf(im.Invalid, "%s: %w", path, err)
	}
	defer z.Close()
	return Read(z, h)
}

// reader is what a file has said so far.
type reader struct {
	Handler
	Reading
	series []Sample
	// has tells which series have a value.
	has []bool
	now []Sample
}

// Read reads a file's text.
func Read(in io.Reader, h Handler) (Reading, error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	if !lines.Scan() || lines.Text() != magic {
		return Reading{}, im.Errorf(im.Invalid, "this is no log of samples: it does not begin with %q", magic)
	}
	r := reader{Handler: h}
	for lines.Scan() {
		if !r.line(lines.Bytes()) {
			r.Malformed++
		}
	}
	if lines.Err() != nil {
		return r.Reading, im.Errorf(im.Invalid, "the log of samples breaks off: %w", lines.Err())
	}
	return r.Reading, nil
}

// line takes one line; false: it is malformed.
func (r *reader) line(line []byte) bool {
	kind, rest, _ := bytes.Cut(line, []byte(" "))
	first, rest, _ := bytes.Cut(rest, []byte(" "))
	number, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil || number < 0 {
		return false
	}
	switch string(kind) {
	case "n":
		return r.name(number, rest)
	case "t":
		return r.sample(number, rest)
	case "e":
		if r.Event != nil {
			r.Event(number, rest)
		}
		r.Events++
		return true
	}
	return false
}

// name takes the name of a series; they are numbered without gaps.
func (r *reader) name(id int64, rest []byte) bool {
	merge, name, ok := bytes.Cut(rest, []byte(" "))
	if !ok || id != int64(len(r.series)) || id >= maxSeries {
		return false
	}
	r.series = append(r.series, Sample{Name: string(name), Merge: string(merge)})
	r.has = append(r.has, false)
	return true
}

// sample takes what has changed.
func (r *reader) sample(at int64, rest []byte) bool {
	good := true
	for len(rest) > 0 {
		var field []byte
		field, rest, _ = bytes.Cut(rest, []byte(" "))
		good = r.value(field) && good
	}
	r.now = r.now[:0]
	for i, has := range r.has {
		if has {
			r.now = append(r.now, r.series[i])
		}
	}
	r.Seconds++
	if r.Samples != nil {
		r.Samples(at, r.now)
	}
	return good
}

func (r *reader) value(field []byte) bool {
	before, after, ok := bytes.Cut(field, []byte("="))
	id, err := strconv.ParseUint(string(before), 10, 32)
	if !ok || err != nil || id >= uint64(len(r.series)) {
		return false
	}
	if len(after) == 0 {
		r.has[id] = false
		return true
	}
	v, err := strconv.ParseFloat(string(after), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	r.series[id].Value, r.has[id] = v, true
	return true
}
