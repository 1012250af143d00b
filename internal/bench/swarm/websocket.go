//go:build linux

package swarm

import (
	"bytes"
	"encoding/binary"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// The request for a WebSocket is always the same, and so is its answer: the key
// is not a secret, but there for the server to show that it knows the protocol.
const (
	upgradeRequest = "GET /link HTTP/1.1\r\nHost: skein\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2tlaW4gc2tlaW4gc2tlaQ==\r\n\r\n"
	upgradeStatus = "HTTP/1.1 101 "
	upgradeAccept = "sec-websocket-accept: 90r0lhkfz9xh7voxch5nbtxzkje="
	// maxUpgrade is the most bytes that the answer may have.
	maxUpgrade = 4 << 10
)

// put sends frames to the server; on a WebSocket in a message of their own,
// masked as the protocol wants it. If it fails, Closed follows.
func (m *member) put(cl *client, frames []byte) {
	if !m.job.WebSocket {
		_ = cl.conn.Write(frames)
		return
	}
	m.packet = m.appendPacket(m.packet[:0], ws.OpBinary, frames)
	_ = cl.conn.Write(m.packet)
}

// appendPacket appends a WebSocket packet of a client.
func (m *member) appendPacket(dst []byte, op ws.OpCode, payload []byte) []byte {
	const masked = 0x80
	dst = append(dst, 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
	var mask [4]byte
	binary.NativeEndian.PutUint32(mask[:], m.rng.Uint32())
	dst = append(dst, mask[:]...)
	at := len(dst)
	dst = append(dst, payload...)
	ws.Cipher(dst[at:], mask, 0)
	return dst
}

// upgraded takes the server's answer to the request for a WebSocket, when all of
// it is there, and says hello then.
func (m *member) upgraded(cl *client, b []byte) (consumed int) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxUpgrade {
			m.fail(cl, "an endless answer to the request for a WebSocket")
		}
		return 0
	}
	end += len("\r\n\r\n")
	if !bytes.HasPrefix(b, []byte(upgradeStatus)) || !bytes.Contains(bytes.ToLower(b[:end]), []byte(upgradeAccept)) {
		m.fail(cl, "no WebSocket")
		return len(b)
	}
	cl.web = true
	m.hello(cl)
	return end
}

// packets takes whole packets of a WebSocket, and the frames that are in them.
func (m *member) packets(cl *client, b []byte, now int64) (consumed int) {
	for {
		op, payload, n, ok := serverPacket(b[consumed:])
		if !ok {
			m.fail(cl, "a malformed WebSocket packet")
			return len(b)
		}
		if n == 0 {
			return consumed
		}
		consumed += n
		switch op {
		case ws.OpBinary:
			if left := m.frames(cl, payload, now) < len(payload); left && (cl.state == opening || cl.state == live) {
				m.fail(cl, "a WebSocket message with part of a frame")
			}
		case ws.OpPing:
			m.packet = m.appendPacket(m.packet[:0], ws.OpPong, payload)
			_ = cl.conn.Write(m.packet) // If that fails, Closed follows.
		}
		if cl.state != opening && cl.state != live {
			return len(b)
		}
	}
}

// serverPacket cuts the first packet off. Servers do not mask, and ours does not
// split messages; n is 0 while bytes are missing.
func serverPacket(b []byte) (op ws.OpCode, payload []byte, n int, ok bool) {
	if len(b) < 2 {
		return 0, nil, 0, true
	}
	if b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
		return 0, nil, 0, false
	}
	header, size := 2, uint64(b[1])
	switch {
	case size == 126 && len(b) >= 4:
		header, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		header, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return 0, nil, 0, true
	}
	if size > im.MaxServerFrame+wire.MaxHeader {
		return 0, nil, 0, false
	}
	n = header + int(size)
	if len(b) < n {
		return 0, nil, 0, true
	}
	return ws.OpCode(b[0] & 0xf), b[header:n], n, true
}
