// Package doctor compares what a machine allows with what a node's settings
// want of it, and says in plain words what to change, and how.
//
// It owns the list of checks; docs/OPERATIONS.md has a section for each. It
// reads /proc and /sys through a file system that is handed in, and needs no
// privilege; what the system does not tell is "unknown", never a failure. A
// check that is not of this system's kind is unknown, too.
//
// It persists nothing. Two checks touch the machine: the addresses are opened
// for a moment, and fsync is timed on a small file in the data directory, or in
// the nearest directory above that exists, which is removed.
//
// Bounds: a file of /proc is read up to maxText, open files are followed up to
// maxLinks, and fsync is tried maxSyncs times or for about maxSyncTime.
//
// When it dies, a file skein-doctor-* may be left; it can be removed.
package doctor
