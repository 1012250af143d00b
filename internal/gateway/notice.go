package gateway

import "github.com/skein-im/skein/internal/link"

// LoggedIn reports whether a connection of this gateway has been welcomed, so
// that it may be told notices. Any goroutine may ask.
func (g *Gateway) LoggedIn(c link.Conn) bool {
	s, ok := c.Value().(*session)
	return ok && (s.is(live) || s.is(resuming))
}
