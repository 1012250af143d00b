package relay

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/skein-im/skein/internal/entity"
	"github.com/skein-im/skein/internal/im"
)

// Incoming is what has come from one other region: a stream from each process of
// it that has a relay. It may be used by several at a time.
type Incoming struct {
	mu sync.Mutex
	// last is the last batch of a stream that was taken, order which of the
	// streams began a connection before which.
	last               map[uint64]uint64
	order              []uint64
	received, repeated uint64
}

// maxStreams is how many streams of a region are remembered. What a forgotten one
// repeats is taken again, which entities do not mind.
const maxStreams = 256

// Begin remembers a stream, and returns its last batch.
func (in *Incoming) Begin(stream uint64) uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.last == nil {
		in.last = map[uint64]uint64{}
	}
	in.order = append(slices.DeleteFunc(in.order, func(s uint64) bool { return s == stream }), stream)
	in.last[stream] += 0
	if len(in.order) > maxStreams {
		delete(in.last, in.order[0])
		in.order = slices.Delete(in.order, 0, 1)
	}
	return in.last[stream]
}

// fresh reports whether a batch has not been taken yet, and takes it.
func (in *Incoming) fresh(stream, number uint64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if last, ok := in.last[stream]; ok && number <= last {
		in.repeated++
		return false
	} else if ok {
		in.last[stream] = number
	}
	return true
}

// Take delivers the messages of a batch, unless it has come already, and returns
// its number.
func (in *Incoming) Take(stream uint64, payload []byte, unpack func([]byte) ([]byte, error), deliver func(m *entity.Message, hops uint8)) (uint64, error) {
	number, n := binary.Uvarint(payload)
	if n <= 0 || number == 0 {
		return 0, im.Errorf(im.Invalid, "malformed batch")
	}
	raw, err := unpack(payload[n:])
	if err != nil {
		return 0, err
	}
	if !in.fresh(stream, number) {
		return number, nil
	}
	count := uint64(0)
	err = readBatch(raw, func(m *entity.Message, hops uint8) {
		count++
		deliver(m, hops)
	})
	in.mu.Lock()
	in.received += count
	in.mu.Unlock()
	return number, err
}

// counts are how many messages came, and how many batches came again.
func (in *Incoming) counts() (received, repeated uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received, in.repeated
}
