//go:build !linux

package swarm

import "errors"

// SystemLimits asks the system.
func SystemLimits() (Limits, error) { return Limits{}, errSystem }

var errSystem = errors.New("this load generator needs Linux: it runs on epoll")
