package node

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/config"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/remote"
)

// ClusterSecretFile is the name of the secret that roles share, in the data
// directory.
const ClusterSecretFile = "cluster.secret"

// clusterSecret is what roles show each other.
func (n *Node) clusterSecret() (string, error) {
	path := n.cfg.ClusterSecret
	if path == "" {
		path = filepath.Join(n.addrs.Data, ClusterSecretFile)
	}
	return account.LoadOrCreateSecret(path, "cl_")
}

// serveRoles lets gateways of other processes reach the mailbox.
func (n *Node) serveRoles() error {
	secret, err := n.clusterSecret()
	if err != nil {
		return err
	}
	cfg := remote.ServerConfig{
		Mailbox: n.offered(), Secret: []byte(secret), Node: n.name, Logger: n.log,
	}
	if n.shared != nil {
		cfg.Inner, cfg.Receive, cfg.Served, cfg.Joined = n.back.mailbox, n.receive, n.served, n.reached
		cfg.Serving = n.back.mailbox.Held
	}
	n.back.roles, err = remote.NewServer(cfg)
	if err != nil {
		return err
	}
	addr := n.cfg.RoleListen
	if addr == "" && (n.opts.Role == Mailbox || n.shared != nil) {
		addr = config.DefaultRoleListen
	}
	if addr == "" {
		return nil
	}
	n.addrs.Roles, err = n.listenRoles(addr, n.back.roles)
	return err
}

// listenRoles opens one listener for processes of other roles, and returns its
// address.
func (n *Node) listenRoles(addr string, srv *remote.Server) (string, error) {
	ln, err := listenRole(addr)
	if err != nil {
		return "", cannotListen("--role-listen", addr, err)
	}
	n.run("roles", func() error { return srv.Serve(ln) })
	if ln.Addr().Network() == "unix" {
		return addr, nil
	}
	return ln.Addr().String(), nil
}

func listenRole(addr string) (net.Listener, error) {
	path, local := strings.CutPrefix(addr, "unix:")
	if !local {
		return net.Listen("tcp", addr)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket of a process that did not get to it.
func removeStale(path string) error {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return im.Errorf(im.Unavailable, "somebody listens at %s", path)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return im.Errorf(im.Invalid, "%s is not a socket", path)
	}
	return os.Remove(path)
}

// mailbox is what serves every entity: the node's own mailbox, or the way to
// all of them.
func (n *Node) mailbox() im.Mailbox {
	if n.route != nil {
		return n.route
	}
	return n.offered()
}
