package sim

import "time"

// event is something that happens at a moment of virtual time.
type event struct {
	at time.Duration
	// n orders events of the same moment as they were planned.
	n   uint64
	run func()
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.n < o.n
}

// agenda is a heap of what is to happen.
type agenda struct {
	events  []event
	planned uint64
}

func (a *agenda) push(at time.Duration, run func()) {
	a.planned++
	a.events = append(a.events, event{at, a.planned, run})
	i := len(a.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !a.events[i].before(&a.events[parent]) {
			return
		}
		a.events[i], a.events[parent] = a.events[parent], a.events[i]
		i = parent
	}
}

// pop takes out the next event; there must be one.
func (a *agenda) pop() event {
	next := a.events[0]
	last := len(a.events) - 1
	a.events[0] = a.events[last]
	a.events[last] = event{}
	a.events = a.events[:last]
	a.sink(0)
	return next
}

func (a *agenda) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(a.events); child++ {
			if a.events[child].before(&a.events[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		a.events[i], a.events[least] = a.events[least], a.events[i]
		i = least
	}
}
