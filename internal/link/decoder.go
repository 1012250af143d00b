package link

import (
	"encoding/binary"
	"io"

	"github.com/gobwas/ws"

	"github.com/skein-im/skein/internal/evloop"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// event is what a decoder found.
type event uint8

const (
	// more: bytes are missing.
	more event = iota
	// gotFrame: a frame.
	gotFrame
	// gotPing: a WebSocket ping, to be answered with its payload.
	gotPing
	// gotClose: a WebSocket close; the payload is its status and reason.
	gotClose
)

// decoder cuts what was read into frames.
type decoder struct {
	buf  buffer
	need int
	// ws is nil on a link without WebSocket.
	ws *wsDecoder
}

// wsDecoder is the state of the WebSocket below the frames.
type wsDecoder struct {
	side ws.State
	// message is what is left of the message being cut into frames.
	message []byte
	// parts are the fragments of a message whose end is yet to come.
	parts      []byte
	fragmented bool
	// budget counts held of the parts.
	budget *evloop.Budget
	held   int
}

// close gives back what is held.
func (d *decoder) close() {
	d.buf.close()
	if d.ws != nil {
		d.ws.release()
	}
}

func (d *decoder) read(src io.Reader) error { return d.buf.read(src, d.need) }

// discard forgets what was read. Frames cannot be cut any more after it.
func (d *decoder) discard() { d.buf.r, d.buf.w, d.need = 0, 0, 1 }

// next returns the next frame or event. Payloads are valid until read.
// After an error the decoder is of no use.
func (d *decoder) next(limit int) (ev event, t wire.Type, payload []byte, err error) {
	if d.ws != nil {
		return d.nextWS(limit)
	}
	b := &d.buf
	t, header, size, err := wire.ParseHeader(b.unread(), limit)
	if err != nil {
		return more, 0, nil, err
	}
	if header == 0 {
		d.need = b.w - b.r + 1
		return more, 0, nil, nil
	}
	d.need = header + size
	if b.w-b.r < d.need {
		return more, 0, nil, nil
	}
	payload = b.data[b.r+header : b.r+d.need : b.r+d.need]
	b.r += d.need
	return gotFrame, t, payload, nil
}

func (d *decoder) nextWS(limit int) (event, wire.Type, []byte, error) {
	for {
		if len(d.ws.message) > 0 {
			t, payload, n, err := wire.Parse(d.ws.message, limit)
			if err == nil && n == 0 {
				err = protocolError("a frame goes on beyond the end of its WebSocket message")
			}
			if err != nil {
				return more, 0, nil, err
			}
			d.ws.message = d.ws.message[n:]
			return gotFrame, t, payload, nil
		}
		h, payload, err := d.packet(limit)
		if err != nil || payload == nil {
			return more, 0, nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			return gotPing, 0, payload, nil
		case ws.OpClose:
			return gotClose, 0, payload, checkClose(payload)
		case ws.OpBinary, ws.OpContinuation:
			if err := d.ws.data(h.Fin, payload); err != nil {
				return more, 0, nil, err
			}
		}
	}
}

// packet takes one frame of the WebSocket protocol, here called a packet. The
// payload is nil while bytes are missing.
func (d *decoder) packet(limit int) (h ws.Header, payload []byte, err error) {
	b := &d.buf
	h, n, ok := packetHeader(b.unread())
	if !ok {
		d.need = n
		return h, nil, nil
	}
	if err := d.ws.check(h, limit); err != nil {
		return h, nil, err
	}
	d.need = n + int(h.Length)
	if b.w-b.r < d.need {
		return h, nil, nil
	}
	end := b.r + d.need
	payload = b.data[b.r+n : end : end]
	b.r = end
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return h, payload, nil
}

// check refuses a packet by its header.
func (w *wsDecoder) check(h ws.Header, limit int) error {
	state := w.side
	if w.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return protocolError("WebSocket: %w", err)
	}
	if h.OpCode == ws.OpText {
		return protocolError("WebSocket: frames come in binary messages, not in text")
	}
	if limit += wire.MaxHeader; h.Length > int64(limit-len(w.parts)) && !h.OpCode.IsControl() {
		return errMessageTooLarge(limit)
	}
	return nil
}

// data takes the payload of a binary packet.
func (w *wsDecoder) data(fin bool, payload []byte) error {
	whole := fin && !w.fragmented
	if whole {
		w.message = payload
		return nil
	}
	w.parts = append(w.parts, payload...)
	w.fragmented = !fin
	if fin {
		w.message = w.parts
		w.release()
		return nil
	}
	w.count(cap(w.parts))
	if !w.budget.Room(len(w.parts), 0) {
		return evloop.ErrNoRoom
	}
	return nil
}

// release forgets the parts.
func (w *wsDecoder) release() {
	w.parts, w.fragmented = nil, false
	w.count(0)
}

func (w *wsDecoder) count(n int) {
	w.budget.Add(n - w.held)
	w.held = n
}

// packetHeader reads a packet's header; ok is false while bytes are missing,
// and n is then how many there must be.
func packetHeader(b []byte) (h ws.Header, n int, ok bool) {
	n = ws.MinHeaderSize
	if len(b) < n {
		return h, n, false
	}
	h.Fin = b[0]&0x80 != 0
	h.Rsv = b[0] >> 4 & 7
	h.OpCode = ws.OpCode(b[0] & 0xf)
	h.Masked = b[1]&0x80 != 0
	length := b[1] & 0x7f
	switch length {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	mask := n
	if h.Masked {
		n += 4
	}
	if len(b) < n {
		return h, n, false
	}
	switch length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		// The highest bit must be 0. With it, the length is over any limit.
		h.Length = int64(binary.BigEndian.Uint64(b[2:]) &^ (1 << 63))
		if b[2]&0x80 != 0 {
			h.Length = 1<<63 - 1
		}
	default:
		h.Length = int64(length)
	}
	if h.Masked {
		copy(h.Mask[:], b[mask:])
	}
	return h, n, true
}

// checkClose refuses a malformed close.
func checkClose(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) == 1 {
		return protocolError("WebSocket: half a close status")
	}
	status, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(status, reason); err != nil {
		return protocolError("WebSocket: %w", err)
	}
	if status > 4999 {
		return protocolError("WebSocket: close status %d, which nobody has defined", status)
	}
	return nil
}

func errMessageTooLarge(limit int) error {
	return im.Errorf(im.TooLarge, "a WebSocket message of over %d bytes, the limit here", limit)
}
