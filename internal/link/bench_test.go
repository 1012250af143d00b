package link

import (
	"fmt"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// BenchmarkEcho sends frames of 256 bytes and gets each back, a window at a
// time; the figures are per frame and cover both ends.
func BenchmarkEcho(b *testing.B) {
	for _, kind := range both("tcp", "ws", "tls", "pipe") {
		for _, window := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/window=%d", kind, window), func(b *testing.B) { benchEcho(b, kind, window) })
		}
	}
}

func benchEcho(b *testing.B, kind string, window int) {
	frame := wire.AppendFrame(nil, wire.TypeSend, make([]byte, 256))
	r := newRig(b, kind, Config{FirstFrame: im.MaxClientFrame}, nil)
	r.srv.cfg.Handler = bouncer{frame}
	c := r.dial(b)
	_ = c.SetReadDeadline(time.Time{})
	var batch []byte
	for range window {
		batch = append(batch, frame...)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += window {
		if err := c.Write(batch); err != nil {
			b.Fatal(err)
		}
		for range window {
			if _, _, err := c.ReadFrame(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	st := r.srv.Stats()
	b.ReportMetric(float64(st.Reads+st.Writes)/float64(b.N), "server-io/op")
}

type bouncer struct{ frame []byte }

func (bouncer) Open(Conn)                             {}
func (h bouncer) Frame(c Conn, _ wire.Type, _ []byte) { _ = c.Send(h.frame) }
func (bouncer) Closed(Conn, error)                    {}
