package bench

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress is a line that changes in place, and words above it.
type progress struct {
	out io.Writer
	// still: out is no terminal, and gets only the words.
	still bool

	mu    sync.Mutex
	shown bool
	next  time.Time
	last  uint64
	at    time.Time
}

// showEvery keeps the line from changing faster than anybody reads.
const showEvery = 200 * time.Millisecond

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// erase takes the changing line away.
func (p *progress) erase() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// show changes the line, now and then, to what text makes of how fast a
// number grows.
func (p *progress) show(number uint64, text func(perSecond float64) string) {
	if p.out == nil || p.still {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	speed := 0.0
	if !p.at.IsZero() && number >= p.last {
		speed = float64(number-p.last) / now.Sub(p.at).Seconds()
	}
	p.next, p.at, p.last = now.Add(showEvery), now, number
	p.erase()
	p.shown = true
	fmt.Fprint(p.out, text(speed))
}

// showTally is show for the messages of a chat.
func (p *progress) showTally(t *Tally, planned uint64, elapsed time.Duration) {
	p.show(t.Acked, func(speed float64) string {
		of := ""
		if planned > 0 {
			of = fmt.Sprintf(" of %d", planned)
		}
		return fmt.Sprintf("%6.1f s  %d%s acknowledged, %d delivered, %.0f/s", elapsed.Seconds(), t.Acked, of, t.Delivered, speed)
	})
}

// done takes the line away for good.
func (p *progress) done() {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}
