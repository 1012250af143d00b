//go:build !unix

package node

import "time"

// openFiles is how many files a process may have open.
func openFiles() int { return manyFiles }

// cpuTime is the processor time that this process has used; 0: not known.
func cpuTime() time.Duration { return 0 }
