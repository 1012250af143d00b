package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestStandbyOfSeveralNodes loses a region of two mailbox nodes over Redis in the
// middle of a chat. Its synchronous standby, in Redis too, is promoted and served
// by two other nodes: nothing is lost, repeated or reordered.
func TestStandbyOfSeveralNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs := filepath.Join(dir, "certs")
	if _, err := run(t, "", "relay", "cert", "east", "--dir", certs); err != nil {
		t.Fatal(err)
	}
	identity := []string{
		"--region", "east", "--relay-cert", filepath.Join(certs, "east.pem"),
		"--relay-key", filepath.Join(certs, "east-key.pem"), "--relay-ca", filepath.Join(certs, "ca.pem"),
	}
	region, copied := newNodes(t, filepath.Join(dir, "region")), newNodes(t, filepath.Join(dir, "copy"))
	standby := startNode(t, append(append([]string{"standby", "--json", "--data", filepath.Join(dir, "standby"), "--ops", "127.0.0.1:0",
		"--standby-listen", "127.0.0.1:0"}, identity...), copied.shared...)...)
	serving := append(identity[:len(identity):len(identity)], "--relay-listen", "127.0.0.1:0")
	kept := append(serving[:len(serving):len(serving)], "--standby", standby.Standby, "--standby-mode", "sync")
	one, two := region.mailbox("one", kept...), region.mailbox("two", kept...)
	gate := region.gateway()
	region.await("the nodes share the slots", settled(3))
	finished, verdict := longChat(t, gate, 50, "--friends", "10", "--rate", "200")
	between(t, finished, verdict)
	one.kill()
	two.kill()
	at := gate.fixed()
	gate.kill()
	if _, err := launch(copied.args("mailbox", "one", serving...)...); err == nil {
		t.Fatal("a node serves from what is a standby's")
	}
	standby.stop(t)
	out, err := run(t, "", append([]string{"standby", "promote", "--data", filepath.Join(dir, "standby")}, copied.shared...)...)
	if err != nil || !strings.Contains(out, "the region's store now") {
		t.Fatalf("%v: %s", err, out)
	}
	copied.mailbox("three", serving...)
	copied.mailbox("four", serving...)
	copied.gateway(at...)
	r := verdict()
	r.check(t)
}
