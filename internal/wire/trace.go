package wire

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skein-im/skein/internal/im"
)

// keyTrace is the key of Entry's trace, which is the last field of an encoded
// entry: its two bytes, of which the first is in no UTF-8 text, and eight of
// the identifier.
const (
	keyTrace  = 1000<<3 | fixed64
	traceHigh = byte(keyTrace >> 7)
	traceLow  = byte(keyTrace&0x7f | 0x80)
	traceSize = 2 + 8
)

func sizeTrace(id im.TraceID) int {
	if id == 0 {
		return 0
	}
	return traceSize
}

func appendTrace(dst []byte, id im.TraceID) []byte {
	if id == 0 {
		return dst
	}
	return protowire.AppendFixed64(append(dst, traceLow, traceHigh), uint64(id))
}

// EntryTrace is the trace of an encoded entry. It is asked of every entry on its
// way to every device, so it looks at the end only, and decodes nothing unless
// there is something that looks like a trace.
func EntryTrace(entry []byte) (id im.TraceID, seq im.Seq) {
	at := len(entry) - traceSize
	if at < 0 || entry[at] != traceLow || entry[at+1] != traceHigh {
		return 0, 0
	}
	var m Entry
	if m.Unmarshal(entry) != nil || uint64(m.Trace) != binary.LittleEndian.Uint64(entry[at+2:]) {
		return 0, 0
	}
	return m.Trace, m.Seq
}
