package sched

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxRounds is how often it is looked for threads that have begun meanwhile.
const maxRounds = 8

// Batch makes this process one that does not interrupt others when it wakes up
// (SCHED_BATCH): it gets its share of the processors as before, but only when it
// is its turn, and finds more to do then. It is for one of very many processes
// that each have a little to do very often.
func Batch() error {
	done := map[int]bool{}
	for range maxRounds {
		before := len(done)
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("the threads of the process: %w", err)
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || done[tid] {
				continue
			}
			if err := batch(tid); err != nil && err != unix.ESRCH {
				return os.NewSyscallError("sched_setattr", err)
			}
			done[tid] = true
		}
		if len(done) == before {
			return nil
		}
	}
	return nil
}

func batch(tid int) error {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return err
	}
	attr.Policy = unix.SCHED_BATCH
	return unix.SchedSetAttr(tid, attr, 0)
}
