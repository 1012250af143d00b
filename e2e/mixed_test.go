package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// versions are two programs that run side by side.
type versions struct{ older, newer string }

// TestMixedVersions runs the processes of an older version beside this one's, both
// ways. CI has no history to build one from: scripts/mixed.sh builds it.
func TestMixedVersions(t *testing.T) {
	older := os.Getenv("MIXED_WITH")
	if older == "" {
		t.Skip("scripts/mixed.sh sets MIXED_WITH, the program of another version")
	}
	if out, err := exec.Command(older, "version").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, v := range map[string]versions{"older first": {older, binary}, "newer first": {binary, older}} {
		t.Run(name, func(t *testing.T) {
			t.Run("mailbox and gateway", func(t *testing.T) { mixedRoles(t, v) })
			for _, test := range []struct {
				name, command, flag string
				run                 func(t *testing.T, v versions)
			}{
				{"nodes", "mailbox", "--redis-prefix", mixedNodes}, {"regions", "serve", "--relay-listen", mixedRegions},
				{"standby", "serve", "--standby", mixedStandby},
			} {
				t.Run(test.name, func(t *testing.T) {
					if out, err := exec.Command(older, test.command, "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), test.flag+" ") {
						t.Skipf("the older version has no %s", test.flag)
					}
					test.run(t, v)
				})
			}
		})
	}
}

// mixedRoles has a mailbox of one version and a gateway of the other.
func mixedRoles(t *testing.T, v versions) {
	t.Parallel()
	m := startProgram(t, v.older, mailboxArgs(t, filepath.Join(t.TempDir(), "data"))...)
	g := startProgram(t, v.newer, gatewayArgs(t, m, "--workers", "1")...)
	finished, verdict := longChat(t, g, 100, "--friends", "10", "--rate", "500")
	between(t, finished, verdict)
	verdict().check(t)
}

// mixedNodes changes the version of everything in the middle of a chat, one process
// after the other, and back again.
func mixedNodes(t *testing.T, v versions) {
	t.Parallel()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	links := map[string]string{"here": freeAddr(t), "there": freeAddr(t)}
	other := map[string]string{"here": "there", "there": "here"}
	procs := map[string]*server{}
	run := func(program, role, name string) {
		t.Helper()
		args := c.args(role, name)
		if role == "gateway" {
			args = append(args, "--link", links[name], "--reconnect-to", links[other[name]])
		}
		procs[name] = startProgram(t, program, args...)
	}
	for name, role := range map[string]string{"one": "mailbox", "two": "mailbox", "here": "gateway", "there": "gateway"} {
		run(v.older, role, name)
	}
	c.await("the nodes share the slots", settled(4))
	finished, verdict := longChat(t, procs["here"], 100, "--friends", "10", "--rate", "500")
	clients := func(name string) {
		t.Helper()
		for metric(t, procs[name], "skein_gateway_sessions") < 100 {
			between(t, finished, verdict)
		}
	}
	for _, program := range []string{v.newer, v.older} {
		for _, name := range []string{"one", "two"} {
			procs[name].stop(t)
			run(program, "mailbox", name)
			c.await("the nodes share the slots", func(st status) bool { return settled(4)(st) && heldBy(st, name) > 0 })
			between(t, finished, verdict)
		}
		for _, name := range []string{"here", "there"} {
			procs[name].stop(t)
			clients(other[name])
			run(program, "gateway", name)
		}
		clients("here")
	}
	r := verdict()
	r.check(t)
	t.Logf("%d messages: the longest wait for an ack was %.0f ms, for a delivery %.0f ms", r.Sent, r.AckMS.Max, r.DeliverMS.Max)
}

// mixedRegions has two regions, each of its own version, whose users write to each
// other and move.
func mixedRegions(t *testing.T, v versions) {
	t.Parallel()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "west", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	eastRelay, westRelay := freeAddr(t), freeAddr(t)
	p := &pair{
		east: startProgram(t, v.older, serveArgs(t, filepath.Join(dir, "east"), regionArgs(t, certs, "east", "west", westRelay, eastRelay)...)...),
		west: startProgram(t, v.newer, serveArgs(t, filepath.Join(dir, "west"), regionArgs(t, certs, "west", "east", eastRelay, westRelay)...)...),
	}
	c := newCrowd(t, p, 4)
	c.begin()
	c.more(200)
	for _, user := range []string{"1", "3"} {
		move(t, p.east, user, "west")
	}
	c.more(200)
	move(t, p.west, "1", "east")
	c.more(200)
	c.end()
}

// mixedStandby has a region of one version and its standby of the other, which takes
// over.
func mixedStandby(t *testing.T, v versions) {
	t.Parallel()
	s := newSite(t)
	s.program = v.newer
	s.startStandby(t)
	s.region = startProgram(t, v.older, serveArgs(t, s.data, s.serving("--standby", s.standby.Standby, "--standby-mode", "sync")...)...)
	finished, verdict := longChat(t, s.region, 50, "--friends", "10", "--rate", "300")
	between(t, finished, verdict)
	s.lose(t)
	verdict().check(t)
}
