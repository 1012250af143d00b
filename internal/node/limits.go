package node

import (
	"cmp"
	"time"

	"github.com/skein-im/skein/internal/admit"
	"github.com/skein-im/skein/internal/im"
)

// How many devices and addresses with recent activity are told apart.
const (
	limitedDevices = 1 << 16
	limitedAddrs   = 1 << 16
)

// burst is for how many seconds of its rate a bucket has room.
const burst = 10

// limits bound what a device may ask for, over links and HTTP together.
type limits struct {
	began        time.Time
	sends, calls *admit.Buckets
}

func (n *Node) newLimits() *limits {
	buckets := func(perSecond int) *admit.Buckets {
		return admit.NewBuckets(admit.BucketsConfig{Rate: float64(perSecond), Burst: burst * perSecond, Size: limitedDevices})
	}
	return &limits{began: time.Now(), sends: buckets(n.cfg.DeviceSends), calls: buckets(n.cfg.DeviceCalls)}
}

// check reports that a device asks for too much over HTTP.
func (l *limits) check(user im.UserID, device im.DeviceID, send bool) error {
	b := l.calls
	if send {
		b = l.sends
	}
	wait := b.Take(time.Since(l.began), admit.DeviceKey(user, device), 1)
	if wait == 0 {
		return nil
	}
	return &im.Error{
		Kind: im.Busy, RetryAfterMS: uint32(wait/time.Millisecond) + 1, Detail: "the device asks for too much at a time",
	}
}

// newConnLimit limits the links of each address.
func (n *Node) newConnLimit() (*admit.ConnLimit, error) {
	unlimited, err := n.cfg.UnlimitedNetworks()
	if err != nil {
		return nil, err
	}
	return admit.NewConnLimit(admit.ConnLimitConfig{
		Open: cmp.Or(n.cfg.MaxConnsPerAddr, max(1, n.cfg.MaxConns/4)),
		Rate: float64(n.cfg.ConnRatePerAddr), Burst: burst * n.cfg.ConnRatePerAddr,
		Addrs: limitedAddrs, Exempt: unlimited,
	}), nil
}
