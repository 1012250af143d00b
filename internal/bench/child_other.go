//go:build !linux

package bench

import "syscall"

// childAttr: a child outlives its parent here.
func childAttr() *syscall.SysProcAttr { return nil }
