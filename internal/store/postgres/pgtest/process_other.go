//go:build !linux

package pgtest

import "syscall"

// credential is whom servers run as: whoever runs the test.
type credential struct{}

func account() (*credential, error) { return nil, nil }

func attributes(*credential) *syscall.SysProcAttr { return nil }

func give(string, *credential) error { return nil }

// children are not known here: they end by themselves when the first of them has.
func children(int) []int { return nil }

// Memory is a directory in memory; there is none.
func Memory() string { return "" }

func awaitEnd(int) {}

func release(string) {}
