// Package agenda orders the events of a simulated run: by their moment, and those of
// the same moment as they were planned, so that a run is the same each time.
//
// It owns the events that have not happened yet. Nothing is persisted, and there is no
// clock: the simulator says what time it is. Its size is bounded by the run's.
package agenda
