package agenda

import "time"

// Event is something that happens at a moment of virtual time.
type Event struct {
	At time.Duration
	// n orders events of the same moment as they were planned.
	n   uint64
	Run func()
}

func (e *Event) before(o *Event) bool {
	return e.At < o.At || e.At == o.At && e.n < o.n
}

// Agenda is a heap of what is to happen.
type Agenda struct {
	events  []Event
	planned uint64
}

// Plan adds an event.
func (a *Agenda) Plan(at time.Duration, run func()) {
	a.planned++
	a.events = append(a.events, Event{at, a.planned, run})
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

// Due reports whether an event is to happen up to a moment.
func (a *Agenda) Due(t time.Duration) bool { return len(a.events) > 0 && a.events[0].At <= t }

// Before is the moment of the next event, or t if there is none earlier.
func (a *Agenda) Before(t time.Duration) time.Duration {
	if a.Due(t) {
		return a.events[0].At
	}
	return t
}

// Clear forgets all events.
func (a *Agenda) Clear() { a.events = nil }

// Pop takes out the next event; there must be one.
func (a *Agenda) Pop() Event {
	next := a.events[0]
	last := len(a.events) - 1
	a.events[0] = a.events[last]
	a.events[last] = Event{}
	a.events = a.events[:last]
	a.sink(0)
	return next
}

func (a *Agenda) sink(i int) {
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
