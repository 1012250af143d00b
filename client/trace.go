package client

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/skein-im/skein/internal/im"
)

// TraceID names the trace of one message; 0: it is not traced. Its String is
// what 'skein trace' takes.
type TraceID = im.TraceID

// NewTraceID makes the identifier of a trace that is asked for. SendTraced
// takes it.
func NewTraceID() TraceID {
	var b [8]byte
	// Since Go 1.24 reading random bytes does not fail.
	_, _ = rand.Read(b[:])
	return TraceID(binary.LittleEndian.Uint64(b[:])).Forced()
}
