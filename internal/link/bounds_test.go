//go:build linux

package link

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// TestQueueBoundIsExact: handing what is queued to the loop does not make room
// for more.
func TestQueueBoundIsExact(t *testing.T) {
	const most = 8 << 20
	big := wire.AppendFrame(nil, wire.TypeDeliver, make([]byte, 1<<20-10))
	for _, kind := range []string{"tcp-epoll", "ws-epoll", "tls-epoll"} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t, kind, Config{MaxQueue: most}, nil)
			for range 5 {
				c := r.dial(t)
				mustWrite(t, c, hello(0))
				conn := wait(t, r.opened, "connection").(*loopConn)
				var senders sync.WaitGroup
				for range 4 {
					senders.Go(func() {
						for conn.Send(big) == nil {
							conn.mu.Lock()
							n := conn.ec.Queued()
							if conn.out != nil {
								n += len(conn.out.frames())
							}
							conn.mu.Unlock()
							// What WebSocket and TLS add comes on top.
							if n > most+most/100 {
								t.Errorf("%d bytes are queued", n)
								return
							}
						}
					})
				}
				senders.Wait()
				c.Close()
			}
		})
	}
}

// TestPingsOfAPeerThatDoesNotRead: the answers fill its queue, and it is closed
// and counted like others that do not read.
func TestPingsOfAPeerThatDoesNotRead(t *testing.T) {
	r := newRig(t, "ws-epoll", Config{MaxQueue: writeStep + 25000, CloseTimeout: 50 * time.Millisecond}, nil)
	c, _, _ := blocked(t, r, 10000)
	var flood sync.WaitGroup
	flood.Go(func() {
		ping := packet(pingFinal, strings.Repeat("p", 125))
		for {
			if _, err := c.nc.Write(ping); err != nil {
				return
			}
		}
	})
	var e *CloseError
	if err := wait(t, r.closed, "end"); !errors.As(err, &e) || e.Code != im.CloseSlow {
		t.Errorf("closed with %v", err)
	}
	if n := r.srv.Stats().Slow; n != 1 {
		t.Errorf("%d slow connections counted", n)
	}
	c.nc.Close()
	flood.Wait()
}
