package link

import (
	"bytes"
	"io"

	"github.com/gobwas/ws"
)

// maxRequest is the most bytes the request for a WebSocket may have.
const maxRequest = 8 << 10

// looksLikeHTTP tells a request from a frame: frame types stay below 'A'.
func looksLikeHTTP(first byte) bool { return first >= 'A' && first <= 'Z' }

// upgrade answers the HTTP request that has begun to arrive. It reads the
// request itself, up to the empty line and no further than maxRequest, so that
// frames behind it are kept.
func (c *conn) upgrade() error {
	b := &c.in.buf
	end := 0
	for {
		if i := bytes.Index(b.unread(), []byte("\r\n\r\n")); i >= 0 {
			end = b.r + i + 4
			break
		}
		have := b.w - b.r
		if have > maxRequest {
			return protocolError("an HTTP request of over %d bytes", maxRequest)
		}
		if err := b.read(c.nc, have+1); err != nil {
			return err
		}
	}
	request := struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(b.data[b.r:end]), c.nc}
	u := ws.Upgrader{OnRequest: c.checkPath}
	if _, err := u.Upgrade(request); err != nil {
		return err
	}
	b.r = end
	c.in.ws = &wsDecoder{side: ws.StateServerSide}
	return nil
}

func (c *conn) checkPath(uri []byte) error {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	if string(path) == c.srv.cfg.Path {
		return nil
	}
	return ws.RejectConnectionError(ws.RejectionStatus(404), ws.RejectionReason("links are at "+c.srv.cfg.Path))
}
