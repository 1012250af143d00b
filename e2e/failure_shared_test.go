package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/patience"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// ownRedis are nodes with a Redis server of their own, to which things may happen.
func ownRedis(t *testing.T, settings ...string) (*nodes, *redistest.Server) {
	t.Helper()
	needRedis(t)
	srv, err := redistest.Start(append(redistest.Safe(), settings...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Stop(); err != nil {
			t.Error(err)
		}
	})
	return newNodesOver(t, filepath.Join(t.TempDir(), "data"), "--store", "redis", "--redis", srv.Addr, "--redis-prefix", "t:"), srv
}

// TestFullRedis is what TestFullDisk is to a shared store: its memory is full.
// Nothing is acknowledged that is not kept, what was acknowledged can be read, and
// when there is room again the nodes go on by themselves.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	c, redis := ownRedis(t, "--maxmemory", "24mb", "--maxmemory-policy", "noeviction")
	p := overStore(t, c, setup{})
	alice, bob := register(t, p.HTTP, "alice"), register(t, p.HTTP, "bob")
	befriend(t, alice, bob)
	acknowledged := fill(t, alice, bob)
	if _, err := redis.Do(t.Context(), "CONFIG", "SET", "maxmemory", "400mb"); err != nil {
		t.Fatal(err)
	}
	patience.Until(t, "sends are taken again", func() (bool, any) {
		err := alice.send(bob, fmt.Appendf(nil, "message %d ", acknowledged))
		return err == nil, err
	})
	checkReceived(t, bob, acknowledged+1)
	patience.Until(t, "all nodes are well", func() (bool, any) {
		for _, n := range p.parts {
			if status, body := get(web, "http://"+n.Ops+"/healthz"); status != http.StatusOK {
				return false, body
			}
		}
		return true, nil
	})
	t.Logf("%d messages were acknowledged before the memory was full; all are there", acknowledged)
}

// fill sends until a send is refused, and returns how many were not.
func fill(t *testing.T, alice, bob *person) (acknowledged int) {
	t.Helper()
	for ; ; acknowledged++ {
		body := make([]byte, 60_000)
		copy(body, fmt.Sprintf("message %d ", acknowledged))
		err := alice.send(bob, body)
		var refused *callError
		if errors.As(err, &refused) {
			if refused.status != http.StatusServiceUnavailable || refused.Code != "unavailable" {
				t.Fatalf("with a full store a send is answered with %v", refused)
			}
			return acknowledged
		}
		if err != nil || acknowledged > 10_000 {
			t.Fatalf("after %d messages: %v", acknowledged, err)
		}
	}
}

// TestUnfitRedis: a node refuses to start on a store that a newer version has
// written, that is damaged, or that would forget, and says why.
func TestUnfitRedis(t *testing.T) {
	t.Parallel()
	c, redis := ownRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	for _, test := range []struct {
		do   []string
		want string
	}{
		{[]string{"SET", "t:{members}format", "99"}, "99"},
		{[]string{"SET", "t:{members}format", "not a number"}, "not a number"},
		{[]string{"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"}, "maxmemory-policy"},
	} {
		if _, err := redis.Do(t.Context(), test.do...); err != nil {
			t.Fatal(err)
		}
		for _, role := range []string{"mailbox", "serve"} {
			s, err := launch(c.args(role, role)...)
			if err == nil {
				s.kill()
				t.Errorf("%v: a %s starts", test.do, role)
			} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "goroutine ") {
				t.Errorf("%v: %s says %v", test.do, role, err)
			}
		}
	}
}
