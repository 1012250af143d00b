package pgtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/skein-im/skein/internal/child"
)

// account finds somebody to run them as.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("servers do not run as root, and there is no user postgres or nobody")
}

// attributes make a child that runs as an account.
func attributes(as *syscall.Credential) *syscall.SysProcAttr {
	return child.Attributes(&syscall.SysProcAttr{Credential: as})
}

// give makes an account the owner of a directory.
func give(dir string, to *syscall.Credential) error {
	if to == nil {
		return nil
	}
	return os.Chown(dir, int(to.Uid), int(to.Gid))
}
