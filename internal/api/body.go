package api

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/skein-im/skein/internal/im"
)

// minCompress is the size from which responses are compressed for clients
// that ask for it.
const minCompress = 2048

// options configures a method's handler.
func (a *API) options(m *method) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithRequestGate(a.gate(m)),
		connect.WithReadMaxBytes(m.limit),
		connect.WithCompressMinBytes(minCompress),
		connect.WithCompression("gzip",
			func() connect.Decompressor { return &gunzip{most: m.limit + 1} },
			func() connect.Compressor { return gzip.NewWriter(io.Discard) }),
	}
}

func errBodyTooLarge(limit int) *im.Error {
	return im.Errorf(im.TooLarge, "the body of this request may have at most %d bytes", limit)
}

// body is a request body that refuses to be longer than its limit or slower
// than its deadline.
type body struct {
	io.ReadCloser
	limit int
	left  int
}

// guardBody sets the deadline of a request's body, which the server lifts when
// the body has been read: long polls may wait. A server that knows no deadlines
// must limit the time itself.
func guardBody(w http.ResponseWriter, r *http.Request, limit int, timeout time.Duration) *body {
	b := &body{ReadCloser: r.Body, limit: limit, left: limit}
	if r.ContentLength > int64(limit) {
		b.left = -1
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
	return b
}

// Read implements io.Reader. Its errors are those that Connect passes on as
// they are.
func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, connectError(errBodyTooLarge(b.limit))
	}
	// One byte more than is left tells that there is more.
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	b.left -= n
	switch {
	case b.left < 0:
		return n - 1, connectError(errBodyTooLarge(b.limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, connect.NewError(connect.CodeDeadlineExceeded, errors.New("the body did not arrive in time"))
	}
	return n, err
}

// gunzip decompresses at most most bytes, whatever the compressed ones claim.
type gunzip struct {
	gzip.Reader
	most, left int
}

// Reset implements connect.Decompressor.
func (g *gunzip) Reset(r io.Reader) error {
	g.left = g.most
	return g.Reader.Reset(r)
}

// Read implements io.Reader.
func (g *gunzip) Read(p []byte) (int, error) {
	if g.left == 0 {
		return 0, connectError(errBodyTooLarge(g.most - 1))
	}
	n, err := g.Reader.Read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}
