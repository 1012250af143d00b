package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/skein-im/skein/internal/store"
)

func (e *env) putMember(node, value string, ttl time.Duration) {
	e.TB.Helper()
	if err := e.s.PutMember(e.TB.Context(), store.Member{Node: node, Value: []byte(value)}, ttl); err != nil {
		e.TB.Fatalf("PutMember: %v", err)
	}
}

func (e *env) members() []store.Member {
	e.TB.Helper()
	ms, err := e.s.Members(e.TB.Context())
	if err != nil {
		e.TB.Fatalf("Members: %v", err)
	}
	slices.SortFunc(ms, func(a, b store.Member) int { return strings.Compare(a.Node, b.Node) })
	return ms
}

func member(node, value string) store.Member {
	return store.Member{Node: node, Value: []byte(value)}
}

func testMembers(e *env) {
	e.equal("none", e.members(), []store.Member(nil))
	e.putMember("n2", "b", time.Minute)
	e.putMember("n1", "a", time.Minute)
	e.putMember("n3", "", time.Minute)
	e.equal("put", e.members(), []store.Member{member("n1", "a"), member("n2", "b"), member("n3", "")})
	e.putMember("n1", "changed", time.Minute)
	for _, node := range []string{"n2", "missing"} {
		if err := e.s.DeleteMember(e.TB.Context(), node); err != nil {
			e.TB.Fatalf("DeleteMember: %v", err)
		}
	}
	e.equal("changed", e.members(), []store.Member{member("n1", "changed"), member("n3", "")})
}

// testMemberExpiry: a record goes when its time is up, unless refreshed.
func testMemberExpiry(e *env) {
	clock, ok := e.s.(Advancer)
	if !ok {
		e.waitForExpiry()
		return
	}
	e.putMember("short", "a", 10*time.Second)
	e.putMember("refreshed", "b", 10*time.Second)
	e.putMember("long", "c", time.Hour)
	clock.Advance(9 * time.Second)
	e.equal("before", e.members(), []store.Member{member("long", "c"), member("refreshed", "b"), member("short", "a")})
	e.putMember("refreshed", "b2", 10*time.Second)
	clock.Advance(2 * time.Second)
	e.equal("after", e.members(), []store.Member{member("long", "c"), member("refreshed", "b2")})
	clock.Advance(9 * time.Second)
	e.equal("later", e.members(), []store.Member{member("long", "c")})
	e.putMember("short", "again", 10*time.Second)
	e.equal("back", e.members(), []store.Member{member("long", "c"), member("short", "again")})
}

// waitForExpiry is for engines whose clock is their own: it ends when the
// member is gone, or with the test's deadline.
func (e *env) waitForExpiry() {
	e.putMember("short", "a", 300*time.Millisecond)
	e.putMember("long", "c", time.Hour)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(e.members()) != 1 {
		select {
		case <-tick.C:
		case <-e.TB.Context().Done():
			e.TB.Fatalf("the member has not expired")
		}
	}
	e.equal("after", e.members(), []store.Member{member("long", "c")})
}
