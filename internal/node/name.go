package node

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/skein-im/skein/internal/config"
)

// nodeName is the node's name among all others, in their logs and in traces: the
// same whenever it is started again on the same machine and directory.
func nodeName(cfg *config.Config, role Role) string {
	if cfg.Node != "" {
		return cfg.Node
	}
	data, err := filepath.Abs(cfg.Data)
	if err != nil {
		data = cfg.Data
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(data))
	name := fmt.Sprintf("%s-%s-%s", role, hostname(), hex.EncodeToString(h.Sum(nil)))
	return name[max(0, len(name)-config.MaxNode):]
}

// workerName tells a worker from the other ones of its node.
func workerName(node string, index int) string { return fmt.Sprintf("%s/worker-%d", node, index) }

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// advertised is how others reach a listener.
func (n *Node) advertised(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host != "" && (err != nil || !ip.IsUnspecified()):
		return addr
	case n.cfg.Advertise != "":
		return net.JoinHostPort(n.cfg.Advertise, port)
	}
	return net.JoinHostPort(hostname(), port)
}
