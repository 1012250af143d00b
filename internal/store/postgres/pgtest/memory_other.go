//go:build !linux

package pgtest

// Memory is a directory in memory; there is none.
func Memory() string { return "" }

// release is for what is shared otherwise elsewhere.
func release(string) {}
