//go:build linux

package swarm

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// Data implements evloop.Handler.
func (m *member) Data(c *evloop.Conn, b []byte) (consumed int) {
	cl := c.Value().(*client)
	now := m.clock.now()
	if !m.job.WebSocket {
		return m.frames(cl, b, now)
	}
	if !cl.web {
		if consumed = m.upgraded(cl, b); !cl.web {
			return consumed
		}
	}
	return consumed + m.packets(cl, b[consumed:], now)
}

// frames takes whole frames.
func (m *member) frames(cl *client, b []byte, now int64) (consumed int) {
	for consumed < len(b) {
		t, payload, n, err := wire.Parse(b[consumed:], im.MaxServerFrame)
		if err != nil {
			m.fail(cl, "a malformed frame")
			return len(b)
		}
		if n == 0 {
			break
		}
		m.frame(cl, t, payload, now)
		if cl.state != opening && cl.state != live {
			return len(b)
		}
		consumed += n
	}
	return consumed
}

func (m *member) frame(cl *client, t wire.Type, payload []byte, now int64) {
	switch t {
	case wire.TypeWelcome:
		m.welcome(cl, payload, now)
	case wire.TypePong:
		m.pong(cl, payload, now)
	case wire.TypeNotice:
		m.notice(cl, payload, now)
	case wire.TypeSendAck:
		m.sendAck(cl, payload, now)
	case wire.TypeDeliver:
		m.deliver(cl, payload, now)
	case wire.TypeShaken:
		m.shaken(cl, payload, now)
	case wire.TypeAnswer:
		m.called(cl, payload, now)
	case wire.TypeClose:
		m.closing(cl, payload)
	default:
		m.fail(cl, "an unexpected "+t.String())
	}
}

// numbers reads the varints of a message into the places of their field
// numbers, and skips everything else.
func numbers(b []byte, fields []uint64) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if typ == protowire.VarintType && int(num) < len(fields) {
			fields[num], n = protowire.ConsumeVarint(b)
		} else {
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// expect begins to count who gets a notice.
func (m *member) expect(mark []byte) {
	m.expected = mark
	m.status.Noticed, m.status.LastNotice = 0, 0
	for i := range m.clients {
		m.clients[i].noticed = false
	}
}

func (m *member) notice(cl *client, payload []byte, now int64) {
	switch {
	case len(m.expected) == 0 || !bytes.Contains(payload, m.expected):
		m.wrong("a notice that nobody expected")
	case cl.noticed:
		m.status.NoticedAgain++
	default:
		cl.noticed = true
		m.status.Noticed++
		m.status.LastNotice = now
	}
}
