package samplelog

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

const (
	magic  = "skein-samples 1"
	packed = ".gz"
)

func fileName(number int) string { return fmt.Sprintf("samples-%09d.log", number) }

// File is one file of a log.
type File struct {
	Path   string
	Number int
	Bytes  int64
}

// Files are those of a directory, oldest first. Of a file that is there both
// plain and compressed, the compressed one counts: it got its name when it was
// whole.
func Files(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, im.Errorf(im.Unavailable, "the samples cannot be listed: %w", err)
	}
	var files []File
	for _, e := range entries {
		plain := strings.TrimSuffix(e.Name(), packed)
		f := File{Path: filepath.Join(dir, e.Name())}
		if _, err := fmt.Sscanf(plain, "samples-%d.log", &f.Number); err != nil || plain != fileName(f.Number) {
			continue
		}
		if info, err := e.Info(); err == nil {
			f.Bytes = info.Size()
		}
		if n := len(files); n > 0 && files[n-1].Number == f.Number {
			// "x.log" sorts before "x.log.gz".
			files[n-1] = f
			continue
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return a.Number - b.Number })
	return files, nil
}

// removeOldest removes files until the rest has at most so many bytes.
func removeOldest(files []File, most int64) error {
	sum := int64(0)
	for _, f := range files {
		sum += f.Bytes
	}
	for i := 0; i < len(files) && sum > most; i++ {
		if err := os.Remove(files[i].Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(strings.TrimSuffix(files[i].Path, packed))
		sum -= files[i].Bytes
	}
	return nil
}

// pack compresses files that nobody writes to any more. What cannot be
// compressed stays as it is.
func (w *Writer) pack(files ...File) {
	w.packing.Go(func() {
		w.packMu.Lock()
		defer w.packMu.Unlock()
		for _, f := range files {
			if !strings.HasSuffix(f.Path, packed) {
				_ = compress(f.Path)
			}
		}
	})
}

// compress replaces a file by a compressed one.
func compress(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	unfinished := path + ".tmp"
	out, err := os.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	if err = errors.Join(err, z.Close(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path+packed); err != nil {
		return err
	}
	return os.Remove(path)
}
