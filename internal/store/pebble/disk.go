package pebble

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system Pebble sees. The first change that fails kills it:
// it reports the error to the store and from then on drops every change and
// says it succeeded. An operation that was already running may still take
// effect, as in a crash; nothing that follows from the lie does, because
// whatever Pebble does next comes after the mark was set.
//
// Reads always go to the real disk and fail as they do.
type disk struct {
	vfs.FS
	failure *failure
	// readErr is the first read that failed for a reason other than the
	// file's size or absence. Open asks for it to tell a disk that cannot
	// be read from one that was read and held damaged data.
	readErr atomic.Pointer[error]
	syncs   latency
}

func newDisk(fs vfs.FS, f *failure) *disk { return &disk{FS: fs, failure: f} }

// change runs an operation that changes the disk.
func (d *disk) change(op, name string, f func() error) error {
	if d.failure.get() == nil {
		if err := f(); err != nil {
			d.failure.set(op, name, err)
		}
	}
	return nil
}

// opened wraps the file of an operation that opens one for writing. On a dead
// disk it is an empty file in memory.
func (d *disk) opened(op, name string, f func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	_ = d.change(op, name, func() (err error) {
		file, err = f()
		return err
	})
	if file == nil || d.failure.get() != nil {
		if file != nil {
			_ = file.Close()
		}
		file = vfs.NewMemFile(nil)
	}
	return &diskFile{File: file, disk: d, name: name, wal: strings.HasSuffix(name, ".log")}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	d.settleMarker(name)
	return d.opened("create", name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// settleMarker syncs the directory before a marker in it changes. Pebble names
// its current manifest by a file marker.*, which it makes, and removes the one
// before, without a sync in between; should a file system keep those changes
// but not the manifest's own entry, or the removal only, the database would be
// lost.
func (d *disk) settleMarker(name string) {
	if strings.HasPrefix(d.FS.PathBase(name), "marker.") {
		dir := d.FS.PathDir(name)
		_ = d.change("sync", dir, func() error { return syncDir(d.FS, dir) })
	}
}

func (d *disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.opened("rename", newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.opened("open", name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

func (d *disk) Link(oldname, newname string) error {
	return d.change("link", newname, func() error { return d.FS.Link(oldname, newname) })
}

func (d *disk) Rename(oldname, newname string) error {
	return d.change("rename", newname, func() error { return d.FS.Rename(oldname, newname) })
}

func (d *disk) MkdirAll(dir string, perm os.FileMode) error {
	return d.change("create", dir, func() error { return d.FS.MkdirAll(dir, perm) })
}

// Remove fails as the disk does: Pebble tries again, and a file too many
// does no harm.
func (d *disk) Remove(name string) error {
	d.settleMarker(name)
	if d.failure.get() != nil {
		return nil
	}
	return d.FS.Remove(name)
}

// RemoveAll is like Remove.
func (d *disk) RemoveAll(name string) error {
	if d.failure.get() != nil {
		return nil
	}
	return d.FS.RemoveAll(name)
}

func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.Open(name, opts...)
	if err != nil {
		return nil, d.readFailed(err)
	}
	return &readFile{File: f, disk: d}, nil
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, d.readFailed(err)
	}
	return &diskFile{File: f, disk: d, name: name}, nil
}

func (d *disk) List(dir string) ([]string, error) {
	names, err := d.FS.List(dir)
	return names, d.readFailed(err)
}

func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	info, err := d.FS.Stat(name)
	return info, d.readFailed(err)
}

// Unwrap lets Pebble find the file system below.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// readFailed notes an error of a read and returns it.
func (d *disk) readFailed(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, fs.ErrNotExist) {
		d.readErr.CompareAndSwap(nil, &err)
	}
	return err
}

// readFile notes read errors.
type readFile struct {
	vfs.File
	disk *disk
}

func (f *readFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, f.disk.readFailed(err)
}

func (f *readFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	return n, f.disk.readFailed(err)
}

func (f *readFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	return info, f.disk.readFailed(err)
}

// diskFile is a file open for writing, or a directory.
type diskFile struct {
	vfs.File
	disk *disk
	name string
	wal  bool
}

func (f *diskFile) Write(p []byte) (int, error) {
	if f.disk.failure.get() == nil {
		if _, err := f.File.Write(p); err != nil {
			f.disk.failure.set("write", f.name, err)
		}
	}
	return len(p), nil
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	return len(p), f.disk.change("write", f.name, func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
}

func (f *diskFile) Sync() error {
	return f.sync(f.File.Sync)
}

func (f *diskFile) SyncData() error {
	return f.sync(f.File.SyncData)
}

func (f *diskFile) sync(sync func() error) error {
	start := time.Now()
	_ = f.disk.change("sync", f.name, sync)
	if f.wal {
		f.disk.syncs.add(time.Since(start))
	}
	return nil
}

func (f *diskFile) SyncTo(length int64) (fullSync bool, err error) {
	_ = f.disk.change("sync", f.name, func() (err error) {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, nil
}

// Stat of a file being written must not fail either: Pebble asks for the size
// of a log it reuses.
func (f *diskFile) Stat() (info vfs.FileInfo, err error) {
	_ = f.disk.change("stat", f.name, func() (err error) {
		info, err = f.File.Stat()
		return err
	})
	if info == nil || f.disk.failure.get() != nil {
		return vfs.NewMemFile(nil).Stat()
	}
	return info, nil
}

// Close closes the real file even when the disk is dead.
func (f *diskFile) Close() error {
	if err := f.File.Close(); err != nil {
		_ = f.disk.change("close", f.name, func() error { return err })
	}
	return nil
}
