package e2e

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/wire"
)

// recordNodes records what two mailbox nodes, a gateway and a router over Redis
// keep and say.
func recordNodes(t *testing.T, dir string) {
	c, redis := ownRedis(t)
	var taps []*tap
	for _, name := range []string{"one", "two"} {
		listen := freeAddr(t)
		way := newTap(t, listen)
		taps = append(taps, way)
		c.mailbox(name, "--role-listen", listen, "--role-advertise", way.addr(), "--version-label", name)
	}
	router := startNode(t, c.args("router", "way")...)
	c.cluster("move-slots", "0-9", "two")
	c.cluster("canary", "two", "30")
	g := c.gateway()
	_, verdict := benchChat(t, g, "--users", "6", "--friends", "2", "--messages", "2")
	verdict().check(t)
	facts := history(t, g)
	answers := map[string]json.RawMessage{}
	for _, path := range []string{"/v1/addresses?user=1&n=9", "/v1/nodes", "/v1/slots?user=1", "/server"} {
		status, body := get(web, "http://"+router.Router+path)
		if status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		answers[path] = json.RawMessage(body)
	}
	keys, err := redis.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	recordJSON(t, filepath.Join(dir, "redis.gz"), keys)
	recordJSON(t, filepath.Join(dir, "router.gz"), answers)
	facts.Secret = hex.EncodeToString([]byte(trimmed(t, filepath.Join(c.data, "cluster.secret"))))
	recordFacts(t, filepath.Join(dir, "nodes.json"), facts)
	recordFirst(t, dir, "nodes", frameForward, taps...)
}

// recordPostgres records what two mailbox nodes keep in PostgreSQL, under load.
func recordPostgres(t *testing.T, dir string) {
	c, server := ownPostgres(t)
	for _, name := range []string{"one", "two"} {
		c.mailbox(name, "--version-label", name)
	}
	c.cluster("move-slots", "0-9", "two")
	c.cluster("canary", "two", "30")
	g := c.gateway()
	_, verdict := benchChat(t, g, "--users", "6", "--friends", "2", "--messages", "2")
	verdict().check(t)
	facts := history(t, g)
	dump, err := server.Dump(t.Context(), "skein")
	if err != nil {
		t.Fatal(err)
	}
	record(t, filepath.Join(dir, "postgres.gz"), dump)
	facts.Secret = hex.EncodeToString([]byte(trimmed(t, filepath.Join(c.data, "cluster.secret"))))
	recordFacts(t, filepath.Join(dir, "postgres.json"), facts)
}

// recordRegions records what relays of two regions say.
func recordRegions(t *testing.T, dir string) {
	var ways []*tap
	p := startPair(t, nil, nil)
	certs := filepath.Join(filepath.Dir(p.east.Data), "certs")
	other := map[string]string{"east": "west", "west": "east"}
	through := func(s *server, name, at string) *server {
		s.stop(t)
		way := newSecureTap(t, at, certs, name, other[name])
		ways = append(ways, way)
		args := p.args[name]
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, "="+at, "="+way.addr())
		}
		return startNode(t, args...)
	}
	p.east, p.west = through(p.east, "east", p.west.Relay), through(p.west, "west", p.east.Relay)
	c := newCrowd(t, p, 2)
	c.begin()
	c.more(50)
	move(t, p.east, "1", "west")
	c.more(50)
	c.end()
	p.east.stop(t)
	p.west.stop(t)
	recordFirst(t, dir, "relay", frameBatch, ways...)
}

// recordStandby records what a region and its standby say: a copy, and commits.
func recordStandby(t *testing.T, dir string) {
	s := newSite(t)
	s.startStandby(t)
	way := newSecureTap(t, s.standby.Standby, s.certs, "east", "east")
	region := start(t, s.data, s.serving()...)
	_, verdict := benchChat(t, region, "--users", "6", "--friends", "2", "--messages", "2")
	verdict().check(t)
	region.stop(t)
	region = start(t, s.data, s.serving("--standby", way.addr(), "--standby-mode", "sync")...)
	u := newUser(t, worldOf(region), "ann")
	u.dial(t, "tcp://"+region.Link, u.token).Close()
	region.stop(t)
	recordFirst(t, dir, "standby", frameChanges, way)
}

// The frames without which a recording is of no use: a message between nodes, a batch
// of messages between regions, a commit for a standby.
const (
	frameForward wire.Type = 45
	frameBatch   wire.Type = 66
	frameChanges wire.Type = 67
)

// recordFirst records the first connection that has carried a frame of a type.
func recordFirst(t *testing.T, dir, name string, typ wire.Type, ways ...*tap) {
	t.Helper()
	for _, way := range ways {
		for _, s := range way.all() {
			if has(s.up.String(), typ) {
				recordStream(t, dir, name, s)
				return
			}
		}
	}
	t.Fatalf("%s: there is no frame of type %d", name, typ)
}

// has reports whether there is a frame of a type in a stream.
func has(stream string, typ wire.Type) bool {
	for b := []byte(stream); len(b) > 0; {
		got, header, size, err := wire.ParseHeader(b, 16<<20)
		if err != nil || header == 0 || len(b) < header+size {
			return false
		}
		if got == typ {
			return true
		}
		b = b[header+size:]
	}
	return false
}

func recordStream(t *testing.T, dir, name string, s *stream) {
	t.Helper()
	record(t, filepath.Join(dir, name+"-up.gz"), whole(s.up.String()))
	record(t, filepath.Join(dir, name+"-down.gz"), whole(s.down.String()))
}

// whole is a stream without the frame that was under way at last.
func whole(stream string) []byte {
	n := 0
	for b := []byte(stream); ; {
		_, _, size, err := wire.Parse(b, 64<<20)
		if err != nil || size == 0 {
			return []byte(stream)[:n]
		}
		n, b = n+size, b[size:]
	}
}

func recordJSON(t *testing.T, path string, what any) {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	record(t, path, text)
}

func recordFacts(t *testing.T, path string, facts releases.Facts) {
	t.Helper()
	text, err := json.MarshalIndent(facts, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
