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

// upgrade answers the HTTP request that has begun to arrive.
func (c *conn) upgrade() error {
	n, err := c.readRequest()
	if err != nil {
		return err
	}
	request := struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(c.in.buf.unread()[:n]), c.nc}
	u := ws.Upgrader{OnRequest: c.srv.checkPath}
	if _, err := u.Upgrade(request); err != nil {
		return err
	}
	c.in.buf.r += n
	c.in.ws = &wsDecoder{side: ws.StateServerSide, budget: c.srv.budget}
	return nil
}

// readRequest reads up to the empty line and returns the length so far. The
// upgrader could read by itself, but without limit, and it would lose frames
// that come right behind.
func (c *conn) readRequest() (int, error) {
	b := &c.in.buf
	for {
		n, whole, err := requestSize(b.unread())
		if err != nil || whole {
			return n, err
		}
		if err := b.read(c.nc, n+1); err != nil {
			return 0, err
		}
	}
}

// requestSize is how many bytes of b are the request.
func requestSize(b []byte) (n int, whole bool, err error) {
	n = bytes.Index(b, []byte("\r\n\r\n")) + 4
	if whole = n >= 4; !whole {
		n = len(b)
	}
	if n > maxRequest {
		return 0, false, protocolError("an HTTP request of over %d bytes", maxRequest)
	}
	return n, whole, nil
}

// checkPath takes Config.Path, and the root: there is nothing else here.
func (s *Server) checkPath(uri []byte) error {
	path, _, _ := bytes.Cut(uri, []byte("?"))
	if p := string(path); p == s.cfg.Path || p == "/" {
		return nil
	}
	return ws.RejectConnectionError(ws.RejectionStatus(404), ws.RejectionReason("links are at "+s.cfg.Path))
}
