//go:build !linux

package swarm

import (
	"context"
	"io"
)

// Member runs a member.
func Member(context.Context, io.Reader, io.Writer) error { return errSystem }
