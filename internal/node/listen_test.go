package node

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

// Who cannot have an address is told which setting it is, and what to do.
func TestCannotListen(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, taken := net.Listen("tcp", addr)
	for want, err := range map[string]error{
		"another program has it": taken,
		"above 1023":             &net.OpError{Op: "listen", Err: syscall.EACCES},
		"not this machine's":     &net.OpError{Op: "listen", Err: syscall.EADDRNOTAVAIL},
	} {
		text := cannotListen("--link", addr, err).Error()
		if !strings.Contains(text, want) || !strings.Contains(text, "at "+addr+" (--link)") {
			t.Errorf("%v is reported as %q", err, text)
		}
	}
}
