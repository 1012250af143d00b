//go:build !linux

package swarm

import (
	"io"
)

// Member runs a member.
func Member(io.Reader, io.Writer) error { return errSystem }
