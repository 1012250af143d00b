//go:build !linux

package link

import (
	"net"
	"syscall"
)

// canShare: the system deals connections out to several listeners of a port.
const canShare = false

func sharePort(string, string, syscall.RawConn) error { return errCannotShare() }

func reservePort(*net.TCPAddr) (*net.TCPAddr, func() error, error) { return nil, nil, errCannotShare() }
