package client

import "testing"

// BenchmarkSendAsync is one message through the SDK to an in-memory server and
// its receipt back, as many under way as fit.
func BenchmarkSendAsync(b *testing.B) {
	s := newFakeServer(b)
	c, err := tryFake(b.Context(), s, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	content := Content{Type: ContentCustom, Body: make([]byte, 256)}
	room := make(chan struct{}, defaultOutbox)
	answered := func(_ Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
		<-room
	}
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		if err := c.SendAsync(9, content, answered); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(room) {
		room <- struct{}{}
	}
}
