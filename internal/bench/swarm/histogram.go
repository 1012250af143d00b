package swarm

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxRecorded is where recorded times end, in microseconds.
const maxRecorded = int64(time.Hour / time.Microsecond)

// newHistogram is one of times in microseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxRecorded, 3) }

// record takes nanoseconds.
func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns/1000, 1), maxRecorded)) // It is within the range.
}

// encode empties a histogram into text.
func encode(h *hdrhistogram.Histogram) string {
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	h.Reset()
	if err != nil {
		// It compresses into memory.
		panic(fmt.Sprintf("swarm: encoding a histogram: %v", err))
	}
	return string(b)
}

// merge adds an encoded histogram to another.
func merge(into *hdrhistogram.Histogram, text string) error {
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("a member's histogram: %w", err)
	}
	if dropped := into.Merge(h); dropped > 0 {
		return fmt.Errorf("a member's histogram has %d values out of range", dropped)
	}
	return nil
}
