//go:build !linux

package evloop

// Supported reports whether this system has the engine.
func Supported() bool { return false }
