package telemetry

import "reflect"

// AddCounters adds the counters of src to those of dst: every uint64, also in
// arrays, slices of equal length and structs within. Numbers of other types are
// gauges, which say how something is now, and are left alone.
func AddCounters[T any](dst, src *T) {
	addCounters(reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem())
}

func addCounters(dst, src reflect.Value) {
	switch dst.Kind() {
	case reflect.Uint64:
		dst.SetUint(dst.Uint() + src.Uint())
	case reflect.Struct:
		for i := range dst.NumField() {
			addCounters(dst.Field(i), src.Field(i))
		}
	case reflect.Slice:
		if dst.IsNil() && !src.IsNil() {
			dst.Set(reflect.MakeSlice(dst.Type(), src.Len(), src.Len()))
		}
		fallthrough
	case reflect.Array:
		for i := range min(dst.Len(), src.Len()) {
			addCounters(dst.Index(i), src.Index(i))
		}
	}
}

// Total follows the samples of a fixed number of processes that are started
// again when they die. What a process has counted until it was last seen is
// not lost with it: otherwise a sum would go back, and whoever computes a rate
// of it would take the rest of the sum for growth.
type Total[T any] struct {
	last []incarnation[T]
	// gone is what processes have counted that have been replaced.
	gone T
}

type incarnation[T any] struct {
	id     int
	sample T
}

// NewTotal makes a Total of n processes.
func NewTotal[T any](n int) *Total[T] { return &Total[T]{last: make([]incarnation[T], n)} }

// Saw notes a sample of process i; id tells it from those before and after it.
func (t *Total[T]) Saw(i, id int, sample T) {
	l := &t.last[i]
	if l.id != id {
		AddCounters(&t.gone, &l.sample)
	}
	*l = incarnation[T]{id, sample}
}

// Rest is what counts besides the samples of the processes that answered: the
// counters of those that were replaced, and of those that did not answer, as
// they were last. Its gauges are zero.
func (t *Total[T]) Rest(answered func(i int) bool) T {
	var rest T
	AddCounters(&rest, &t.gone)
	for i := range t.last {
		if !answered(i) {
			AddCounters(&rest, &t.last[i].sample)
		}
	}
	return rest
}
