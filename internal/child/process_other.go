//go:build !linux

package child

import "syscall"

// Attributes are what a child needs besides: it outlives its parent here.
func Attributes(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }

// Descendants are not known here: they end by themselves when the first of them has.
func Descendants(int) []int { return nil }

func awaitEnd(int) {}
