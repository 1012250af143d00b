//go:build linux

package evloop

// walk is a call of Each on its way through the table.
type walk struct {
	fn    func(*Conn)
	slice int
	next  int32
	done  func()
}

// DefaultSlice is a number of connections to push to in a turn that takes about
// a millisecond.
const DefaultSlice = 500

// maxWalks is how many calls of Each a loop has under way at most.
const maxWalks = 64

// lookAhead is how many slots a turn looks at for each connection it is to
// find: the table may be nearly empty.
const lookAhead = 16

// Each calls fn, on the loop, for every connection of the loop that is open
// throughout, and for some of those that open or close meanwhile: slice of
// them per turn (0 means DefaultSlice), so that requests are not held up. done,
// unless nil, is called after the last. Each fails like Post. It is safe for
// concurrent use.
func (l *Loop) Each(fn func(*Conn), slice int, done func()) error {
	if slice <= 0 {
		slice = DefaultSlice
	}
	if n := l.walking.Add(1); n > maxWalks {
		l.walking.Add(-1)
		return ErrBusy
	}
	err := l.post(func() { l.walks = append(l.walks, &walk{fn, slice, 0, done}) }, false)
	if err != nil {
		l.walking.Add(-1)
	}
	return err
}

// walk goes a slice further with one of the walks; they take turns.
func (l *Loop) walk() {
	if len(l.walks) == 0 {
		return
	}
	w := l.walks[0]
	l.walks = append(l.walks[:0], l.walks[1:]...)
	if l.step(w) {
		l.walks = append(l.walks, w)
		return
	}
	l.walking.Add(-1)
	if w.done != nil {
		w.done()
	}
}

func (l *Loop) step(w *walk) (more bool) {
	for left, end := w.slice, w.next+int32(w.slice*lookAhead); left > 0 && w.next < end; w.next++ {
		if w.next >= l.table.size {
			return false
		}
		if c := l.table.at(w.next).conn; c != nil && c.state == open {
			w.fn(c)
			left--
			// Written right away, all of them make do with one buffer.
			c.flush()
		}
	}
	return true
}
