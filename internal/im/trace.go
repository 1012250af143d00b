package im

import (
	"fmt"
	"strconv"
)

// TraceID names the trace that follows one message; 0: none does.
type TraceID uint64

// forcedTrace is set in identifiers of traces that somebody has asked for. They
// are kept longer than those that were drawn.
const forcedTrace TraceID = 1 << 63

// Forced makes an identifier one of a trace that somebody has asked for.
func (id TraceID) Forced() TraceID { return id | forcedTrace }

// Drawn makes an identifier one of a trace that nobody has asked for. It is
// not 0.
func (id TraceID) Drawn() TraceID { return max(1, id&^forcedTrace) }

// IsForced reports whether somebody has asked for the trace.
func (id TraceID) IsForced() bool { return id&forcedTrace != 0 }

// String is 16 hexadecimal digits.
func (id TraceID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// MarshalText implements encoding.TextMarshaler.
func (id TraceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// noTrace is how MarshalText writes that there is none.
var noTrace = TraceID(0).String()

// UnmarshalText implements encoding.TextUnmarshaler: it reads whatever
// MarshalText writes.
func (id *TraceID) UnmarshalText(text []byte) (err error) {
	if string(text) == noTrace {
		*id = 0
		return nil
	}
	*id, err = ParseTraceID(string(text))
	return err
}

// ParseTraceID reads what String writes.
func ParseTraceID(s string) (TraceID, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || v == 0 {
		return 0, Errorf(Invalid, "%.32q is not a trace id, which has 16 hexadecimal digits", s)
	}
	return TraceID(v), nil
}

// Trace goes with a command that is traced.
type Trace struct {
	ID TraceID
	// Begun is when the gateway had the message, by its own clock.
	Begun int64
	// At is when the command was handed over last, by the clock of who did.
	// Both are in nanoseconds since 1970; 0: not known. The mailbox that takes
	// the command puts the time when it did into At.
	At int64
}

// Of is the identifier; 0 of nil.
func (t *Trace) Of() TraceID {
	if t == nil {
		return 0
	}
	return t.ID
}
