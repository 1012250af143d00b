package remote

import (
	"io"
	"net"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/wire"
)

// FuzzLiveServer sends garbage to a server before and after the handshake. It
// must hang up or answer, and serve others as before.
func FuzzLiveServer(f *testing.F) {
	m := newFakeMailbox()
	m.read = func(im.UserID, im.Seq, int) ([][]byte, im.Seq, error) { return nil, 0, nil }
	ln, addr := listen(f, "tcp")
	s := serve(f, ln, ServerConfig{Mailbox: m, MaxQueue: 1 << 20})
	c := connect(f, ClientConfig{Addr: addr})
	for _, cmd := range sampleCommands(f) {
		codec := commandCodecOf(cmd)
		b, at := openHead(nil, typeSubmit)
		b = closeHead((&submitHead{1, im.User(1), codec.code}).append(b), at)
		f.Add(true, closeFrame(codec.append(b, full(cmd)), at))
	}
	f.Add(true, wire.AppendHeader(nil, typeGoAway, 0))
	f.Add(true, wire.AppendHeader(nil, typePing, 0))
	f.Add(true, wire.AppendHeader(nil, typeSubmit, 0))
	f.Add(true, wire.AppendHeader(nil, typeSubmit, maxFrame+1))
	f.Add(true, (&farewell{im.CloseNormal, "bye"}).append(nil))
	f.Add(false, []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, proven bool, b []byte) {
		garbage(t, addr, proven, b)
		do(t, c, im.User(1), &im.Counters{})
		m.forget()
		if st := c.Stats(); st.Losses > 0 {
			t.Fatalf("another's link was lost: %+v", s.Stats())
		}
	})
}

// garbage opens a connection, says b and reads what comes back.
func garbage(t *testing.T, addr string, proven bool, b []byte) {
	t.Helper()
	nc := dialRaw(t, addr)
	defer nc.Close()
	in := newInbox(nc)
	if proven {
		if _, err := greet(&in, testSecret, hello{node: "g", instance: randomID()}, patience.Limit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.Write(b); err != nil {
		return
	}
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, nc)
}
