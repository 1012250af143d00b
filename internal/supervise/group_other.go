//go:build !unix

package supervise

import "os/exec"

// ownGroup does nothing: there are no process groups here.
func ownGroup(*exec.Cmd) {}

// pollable does nothing: a read of standard input lasts as long as the process.
func pollable(uintptr) error { return nil }
