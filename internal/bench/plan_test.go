package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDatasetsAreFriendships(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(2, 60).Draw(t, "users")
		mean := rapid.IntRange(1, users-1).Draw(t, "mean")
		d, err := NewDataset(users, mean, rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		for i, list := range d.Friends {
			if len(list) == 0 || !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Fatalf("friends of %d: %v", i+1, list)
			}
			for _, f := range list {
				if f == i+1 || f < 1 || f > users || !slices.Contains(d.Friends[f-1], i+1) {
					t.Fatalf("%d and %d are no friends", i+1, f)
				}
			}
		}
		if want := 2 * max(users*mean/2, (users+1)/2); d.Links() != want {
			t.Fatalf("%d links, want %d", d.Links(), want)
		}
	})
}

// A data set is part of what a figure means, so it stays the same for good.
func TestDatasetsAreReproducible(t *testing.T) {
	d, err := NewDataset(1000, 30, 1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := d.WriteArticle(&b, 400); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	if got, want := hex.EncodeToString(sum[:8]), "9e41e92e69439f6d"; got != want {
		t.Errorf("the data set of seed 1 has hash %s, want %s", got, want)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 30_000 || !strings.HasPrefix(lines[0], "1,") || !strings.HasSuffix(lines[0], ",1") || !strings.HasSuffix(lines[29_999], ",3") {
		t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if err := d.WriteArticle(&b, 0); err == nil {
		t.Error("regions of nobody")
	}
	b.Reset()
	if err := d.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var again Dataset
	if err := json.Unmarshal(b.Bytes(), &again); err != nil || !cmp.Equal(&again, d) {
		t.Errorf("JSON does not give it back: %v", err)
	}
}

func TestImpossibleDatasets(t *testing.T) {
	for _, tc := range [][2]int{{1, 1}, {0, 1}, {10, 0}, {10, 10}, {maxUsers + 1, 1}} {
		if _, err := NewDataset(tc[0], tc[1], 1); err == nil {
			t.Errorf("%d users with %d friends", tc[0], tc[1])
		}
	}
}

func TestScheduleNumbersEachFriendsMessages(t *testing.T) {
	s := newSchedule(3, 4, false, newRand(1, 1))
	last := map[int]uint32{}
	var order []int
	for n := 12; ; n-- {
		if s.left(0) != (n > 0) || s.left(2) != (n > 2) {
			t.Fatalf("with %d to come: left(0) %v, left(2) %v", n, s.left(0), s.left(2))
		}
		friend, ordinal, ok := s.next()
		if !ok {
			break
		}
		if ordinal != last[friend]+1 {
			t.Errorf("message %d to %d after %d", ordinal, friend, last[friend])
		}
		last[friend] = ordinal
		order = append(order, friend)
	}
	if !cmp.Equal(last, map[int]uint32{0: 4, 1: 4, 2: 4}) {
		t.Errorf("sent %v", last)
	}
	if slices.IsSorted(order) {
		t.Error("nothing was shuffled")
	}
	endless := newSchedule(2, 1, true, newRand(1, 1))
	for range 10 {
		if _, _, ok := endless.next(); !ok || !endless.left(100) {
			t.Fatal("it ended")
		}
	}
	if endless.sent[0] != 5 || endless.sent[1] != 5 {
		t.Errorf("sent %v", endless.sent)
	}
	if nobody := newSchedule(0, 1, true, newRand(1, 1)); nobody.left(0) {
		t.Error("messages to nobody")
	}
}

func TestBodies(t *testing.T) {
	for _, size := range []int{MinBody, MinBody + 1, MinBody + 7, 256, 1000} {
		want := stamp{Run: 1 << 60, From: 5, To: 9, Ordinal: 3, Due: 123456789}
		body := make([]byte, size)
		want.encode(body)
		var got stamp
		if err := got.decode(body); err != nil || got != want {
			t.Fatalf("%d bytes: %+v, %v", size, got, err)
		}
		for i := range body {
			body[i] ^= 0x10
			if got.decode(body) == nil {
				t.Fatalf("byte %d of %d may be anything", i, size)
			}
			body[i] ^= 0x10
		}
	}
	var s stamp
	if s.decode(make([]byte, MinBody-1)) == nil {
		t.Error("too short a body is one")
	}
}

func FuzzBody(f *testing.F) {
	b := make([]byte, MinBody)
	(&stamp{Run: 1, From: 2, To: 3, Ordinal: 4}).encode(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s stamp
		if s.decode(b) != nil {
			return
		}
		again := make([]byte, len(b))
		s.encode(again)
		if !bytes.Equal(again[:stampSize], b[:stampSize]) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

func TestMessagesOfARunDoNotAllocate(t *testing.T) {
	l := newLedger(1, 2, userIDs(1), []int{1})
	body := make([]byte, 256)
	s := stamp{Run: 1, From: 1, To: 2}
	n := testing.AllocsPerRun(100, func() {
		s.Ordinal++
		s.encode(body)
		if _, ok := l.take(1, body, 0); !ok {
			t.Fatal("not taken")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConfigs(t *testing.T) {
	ok := DefaultChatConfig()
	for name, change := range map[string]func(*ChatConfig){
		"no messages":       func(c *ChatConfig) { c.Messages = 0 },
		"small bodies":      func(c *ChatConfig) { c.Body = MinBody - 1 },
		"large bodies":      func(c *ChatConfig) { c.Body = 65537 },
		"no window":         func(c *ChatConfig) { c.Window = 0 },
		"too wide a window": func(c *ChatConfig) { c.Window = 257 },
		"no devices":        func(c *ChatConfig) { c.Devices = 0 },
		"a negative rate":   func(c *ChatConfig) { c.Rate = -1 },
		"no patience":       func(c *ChatConfig) { c.Stall = 0 },
		"another transport": func(c *ChatConfig) { c.Transport = "udp" },
		"a link alone":      func(c *ChatConfig) { c.Link = "tcp://h:1" },
		"HTTP alone":        func(c *ChatConfig) { c.HTTP = "http://h:1" },
	} {
		c := ok
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, tc := range []struct{ transport, link, http, wantLink, wantHTTP string }{
		{TCP, "", "", "", ""},
		{TCP, "tcp://h:1", "http://h:2", "tcp://h:1", "http://h:2"},
		{WS, "", "https://h:2", "wss://h:2/link", "https://h:2"},
		{WS, "ws://h:2/link", "", "ws://h:2/link", "http://h:2"},
		{HTTP, "", "http://h:2", "", "http://h:2"},
	} {
		c := ok
		c.Transport, c.Link, c.HTTP = tc.transport, tc.link, tc.http
		if err := c.Validate(); err != nil || c.Link != tc.wantLink || c.HTTP != tc.wantHTTP {
			t.Errorf("%+v: %q, %q, %v", tc, c.Link, c.HTTP, err)
		}
	}
}

func TestProcessUsage(t *testing.T) {
	stat := "42 (a (odd) name) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 100 1000 10"
	u, err := parseUsage(stat, "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n")
	if err != nil || u.cpu.Seconds() != 2 || u.rss != 1<<20 || u.peak != 2<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	for _, bad := range []string{"", "42 (x) S", strings.Replace(stat, "150", "x", 1)} {
		if _, err := parseUsage(bad, ""); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLatencies(t *testing.T) {
	l := newLatencies()
	for i := range 1000 {
		l.record(i, int64(i+1)*1e6)
	}
	l.record(0, -5)
	p := l.percentiles()
	for _, c := range []struct{ got, want float64 }{{p.P50, 500}, {p.P99, 990}, {p.P999, 999}, {p.Max, 1000}} {
		if c.got < c.want*0.998 || c.got > c.want*1.002 {
			t.Errorf("percentiles %+v", p)
		}
	}
}

func TestTail(t *testing.T) {
	var l tail
	if l.quote() != "" {
		t.Error("words out of nothing")
	}
	for i := range 3000 {
		fmt.Fprintf(&l, "%04d\n", i)
	}
	if q := l.quote(); !strings.HasSuffix(q, "2999\n") || len(q) > tailSize+100 {
		t.Errorf("kept %d bytes up to %q", len(q), q[len(q)-5:])
	}
}
