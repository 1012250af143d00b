package node

import (
	"errors"
	"fmt"
	"syscall"
)

// cannotListen says which setting has an address that cannot be had, and what to
// do about it.
func cannotListen(flag, addr string, err error) error {
	do := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		do = fmt.Sprintf("; another program has it: stop that one, or give %s another port (0 takes a free one)", flag)
	case errors.Is(err, syscall.EACCES):
		do = fmt.Sprintf("; this user may not have that port: give %s one above 1023, or the program CAP_NET_BIND_SERVICE", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		do = fmt.Sprintf("; the address is not this machine's: give %s one that is, or 0.0.0.0 for all", flag)
	}
	return fmt.Errorf("cannot listen at %s (%s): %w%s", addr, flag, err, do)
}
