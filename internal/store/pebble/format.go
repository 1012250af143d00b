package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/store"
)

// formatVersion is the version of everything in the directory: our keys and
// values, im.Slots and im.Addr.Slot, and the format Pebble writes. Raise it
// when any of them changes, or what is stored means something that the version
// before does not know and would break. Format 2 has users who have moved, and
// histories without their beginnings; format 1 is read as it is.
const formatVersion = 2

// formatFile says what the directory holds. It is there before anything else,
// so that every version can read it, whatever Pebble did to its own files.
const formatFile = "SKEIN-FORMAT"

// formatState is how far the directory has come.
type formatState string

const (
	formatNone  formatState = ""      // there is nothing
	formatNew   formatState = "new"   // the database is being made
	formatReady formatState = "ready" // the database is there
)

// readFormat reads the format file and checks that this version can go on. A new
// directory may hold files whose names begin as those in beside.
func readFormat(fsys vfs.FS, dir string, beside []string) (state formatState, version int, err error) {
	text, err := readText(fsys, fsys.PathJoin(dir, formatFile), 64)
	if errors.Is(err, fs.ErrNotExist) {
		return formatNone, formatVersion, checkEmpty(fsys, dir, beside)
	}
	if err != nil {
		return "", 0, fmt.Errorf("read %s in %s: %w; %s", formatFile, dir, err, remedy(err))
	}
	if _, err := fmt.Sscanf(text, "skein pebble %d %s\n", &version, &state); err != nil {
		if _, err := fmt.Sscanf(text, "skein pebble %d", &version); err != nil || version <= formatVersion {
			return "", 0, fmt.Errorf("%w: %s in %s reads %q; keep a copy of the directory, check the disk, and restore a backup",
				store.ErrCorrupt, formatFile, dir, text)
		}
	}
	if version > formatVersion {
		return "", 0, fmt.Errorf("%w: %s has format %d and this version knows formats up to %d; run the newer version, or restore a backup made before the upgrade",
			store.ErrNewer, dir, version, formatVersion)
	}
	if version < 1 || state != formatNew && state != formatReady {
		return "", 0, fmt.Errorf("%w: %s in %s reads %q; keep a copy of the directory, check the disk, and restore a backup",
			store.ErrCorrupt, formatFile, dir, text)
	}
	return state, version, nil
}

// checkEmpty refuses a directory without a format file that is not new.
func checkEmpty(fsys vfs.FS, dir string, beside []string) error {
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("list the data directory %s: %w", dir, err)
	}
	for _, name := range names {
		switch {
		case name == "LOCK", name == "lost+found", name == formatFile+".tmp":
		case slices.ContainsFunc(beside, func(prefix string) bool { return strings.HasPrefix(name, prefix) }):
		default:
			return fmt.Errorf("%w: %s has files such as %s, but no %s; give the path of an empty directory, or restore a backup",
				store.ErrCorrupt, dir, name, formatFile)
		}
	}
	return nil
}

// writeFormat replaces the format file, durably.
func writeFormat(fsys vfs.FS, dir string, state formatState) error {
	path := fsys.PathJoin(dir, formatFile)
	f, err := fsys.Create(path+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "skein pebble %d %s\n", formatVersion, state)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(fsys, dir)
}

// raiseFormat marks the directory as this version's before it is written to as
// such: older versions leave it alone from then on. What was only read, as by
// an audit, stays what it was.
func (s *Store) raiseFormat() error {
	if s.format == formatVersion {
		return nil
	}
	if err := writeFormat(s.disk, s.dir, formatReady); err != nil {
		return fmt.Errorf("write to the data directory %s: %w; %s", s.dir, err, remedy(err))
	}
	s.log.Info("the store has a new format; older versions will not open it", "data", s.dir, "was", s.format, "is", formatVersion)
	s.format = formatVersion
	return nil
}

// readText reads a file of at most limit bytes; what follows is ignored.
func readText(fsys vfs.FS, path string, limit int64) (string, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	return string(text), errors.Join(err, f.Close())
}
