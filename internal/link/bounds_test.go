//go:build linux

package link

import (
	"sync"
	"testing"

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
