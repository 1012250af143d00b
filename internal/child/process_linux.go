package child

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Attributes make a child die with its parent; attr has what else it needs, or is nil.
func Attributes(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Pdeathsig = syscall.SIGKILL
	return attr
}

// Descendants are the processes that a process has started, and those that they
// have.
func Descendants(pid int) []int {
	// The kernel lists children by the thread that started them.
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var all []int
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(append(all, n), Descendants(n)...)
			}
		}
	}
	return all
}

// awaitEnd waits until a process has ended, whether anybody has asked how or not.
func awaitEnd(pid int) {
	for !over(pid) {
		time.Sleep(time.Millisecond)
	}
}

// over reports whether a process has ended.
func over(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}
