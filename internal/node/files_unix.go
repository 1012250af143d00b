//go:build unix

package node

import "golang.org/x/sys/unix"

// openFiles is how many files a process may have open.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > manyFiles {
		return manyFiles
	}
	return int(limit.Cur)
}
