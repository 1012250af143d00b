//go:build linux

package evloop

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAdoptFromHTTP(t *testing.T) {
	onAll(t, func(t *testing.T, kind string) {
		r := newRig(t, kind, Config{}, func(h *hooks) { h.data = echoMessages })
		opts := Options{}
		if kind == "tls" {
			opts.TLS, r.client = testTLS(t)
		}
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			early, _ := rw.Peek(rw.Reader.Buffered())
			if err := r.e.Adopt(nc, early, opts); err != nil {
				t.Error(err)
			}
		}))
		defer web.Close()
		nc, err := net.Dial("tcp", strings.TrimPrefix(web.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		request := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		all := []byte{0, 4, 'a', 'b', 'c', 'd', 0, 0, 0, 2, 'e', 'f'}
		if kind == "tcp" {
			mustWrite(t, nc, append([]byte(request), all...))
			expect(t, nc, all)
			return
		}
		tc := tls.Client(&prefixed{nc, []byte(request)}, r.client)
		mustWrite(t, tc, all)
		expect(t, tc, all)
	})
}

// prefixed sends something in front of the first write.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (c *prefixed) Write(b []byte) (int, error) {
	_, err := c.Conn.Write(append(c.prefix, b...))
	c.prefix = nil
	return len(b), err
}

func TestAdoptOfWhatIsNoSocket(t *testing.T) {
	r := newRig(t, "tcp", Config{}, nil)
	a, b := net.Pipe()
	defer a.Close()
	go b.Close()
	if err := r.e.Adopt(a, nil, Options{}); err != ErrNotAdoptable {
		t.Errorf("a pipe: %v", err)
	}
	nc := r.dial(t)
	nc.Close()
	if err := r.e.Adopt(nc, nil, Options{}); err == nil {
		t.Error("a closed connection was adopted")
	}
	wait(t, r.closed, "end")
	if n := r.e.Open(); n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}
