package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skein-im/skein/client"
)

// mailboxArgs are the arguments for a mailbox on free ports.
func mailboxArgs(data string, more ...string) []string {
	args := []string{"mailbox", "--json", "--data", data, "--role-listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"}
	return append(args, more...)
}

// gatewayArgs are the arguments for a gateway of a mailbox, on free ports.
func gatewayArgs(m *server, more ...string) []string {
	args := []string{"gateway", "--json", "--data", m.Data, "--mailbox", m.Roles,
		"--http", "127.0.0.1:0", "--link", "127.0.0.1:0", "--ops", "127.0.0.1:0"}
	return append(args, more...)
}

// shapes are the ways to run the same product; each starts it and returns what
// clients connect to.
var shapes = map[string]func(t *testing.T, data string, more ...string) *server{
	"one process": start,
	"workers": func(t *testing.T, data string, more ...string) *server {
		return start(t, data, append(more, "--workers", "2")...)
	},
	"two processes": func(t *testing.T, data string, more ...string) *server {
		return startNode(t, gatewayArgs(startNode(t, mailboxArgs(data)...), more...)...)
	},
	"two processes and workers": func(t *testing.T, data string, more ...string) *server {
		return startNode(t, gatewayArgs(startNode(t, mailboxArgs(data)...), append(more, "--workers", "2")...)...)
	},
	"two mailboxes over Redis": func(t *testing.T, data string, more ...string) *server {
		c := newNodes(t, data)
		c.mailbox("one")
		c.mailbox("two")
		return c.gateway(more...)
	},
}

// inEveryShape runs a test on each of them.
func inEveryShape(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) { test(t, shape(t, filepath.Join(t.TempDir(), "data"))) })
	}
}

// kills is how often tests kill something under load.
const kills = 5

// between waits for a moment of a running chat; it fails when the chat is over.
func between(t *testing.T, finished <-chan struct{}, verdict func() benchResult) {
	t.Helper()
	select {
	case <-finished:
		t.Fatalf("the chat ended too soon: %+v", verdict())
	case <-time.After(700 * time.Millisecond):
	}
}

// While the mailbox dies and comes back, clients of its gateway notice nothing
// but delay: not one link breaks.
func TestMailboxDies(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(data)...)
	g := startNode(t, gatewayArgs(m)...)
	finished, verdict := benchChat(t, g, "--users", "100", "--friends", "10", "--rate", "1000", "--duration", "8s", "--stall", "2m")
	for range kills {
		between(t, finished, verdict)
		m.kill()
		m = startNode(t, mailboxArgs(data, "--role-listen", m.Roles, "--ops", m.Ops)...)
	}
	r := verdict()
	r.check(t)
	if r.Reconnects > 0 {
		t.Errorf("%d links broke", r.Reconnects)
	}
	g.stop(t)
	m.stop(t)
}

func TestGatewayDies(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(data)...)
	g := startNode(t, gatewayArgs(m)...)
	fixed := gatewayArgs(m, g.fixed()...)
	finished, verdict := benchChat(t, g, "--users", "100", "--friends", "10", "--rate", "1000", "--duration", "8s", "--stall", "2m")
	for range kills {
		between(t, finished, verdict)
		g.kill()
		g = startNode(t, fixed...)
	}
	verdict().check(t)
	g.stop(t)
	m.stop(t)
}

// workersOf are the processes that a node has started.
func workersOf(t *testing.T, s *server) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.cmd.Process.Pid))
	if err != nil || len(lists) == 0 {
		t.Skipf("the system does not tell a process's children: %v", err)
	}
	var pids []int
	for _, list := range lists {
		// A thread may have ended since.
		b, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// A worker that dies takes only its own links with it, and is started again.
func TestWorkerDies(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), "--workers", "2")
	finished, verdict := benchChat(t, s, "--users", "100", "--friends", "10", "--rate", "1000", "--duration", "8s", "--stall", "2m")
	killed := 0
	for range kills {
		between(t, finished, verdict)
		if workers := workersOf(t, s); len(workers) > 0 {
			if err := syscall.Kill(workers[killed%len(workers)], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
	r := verdict()
	r.check(t)
	if r.Reconnects >= 100*killed {
		t.Errorf("%d links broke when %d of 2 workers died; the others should have stayed", r.Reconnects, killed)
	}
	if _, body := get(http.DefaultClient, "http://"+s.Ops+"/metrics"); !strings.Contains(body, "skein_workers 2") {
		t.Error("the metrics do not tell of the workers")
	}
	s.stop(t)
}

// A gateway that is drained sends its clients to the other one.
func TestDrain(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(data)...)
	b := startNode(t, gatewayArgs(m)...)
	a := startNode(t, gatewayArgs(m, "--reconnect-to", b.Link)...)
	_, verdict := benchChat(t, a, "--users", "100", "--friends", "10", "--rate", "1000", "--duration", "5s", "--stall", "2m")
	// It begins when the clients are there.
	for metric(t, a, "skein_gateway_sessions") < 100 {
	}
	out, err := run(t, "", "drain", a.Ops, "--token-file", filepath.Join(data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "has stopped") {
		t.Errorf("drain says %q", out)
	}
	<-a.done
	if a.err != nil {
		t.Errorf("the drained gateway ended with %v", a.err)
	}
	verdict().check(t)
	if n := metric(t, b, "skein_gateway_logins_total"); n < 100 {
		t.Errorf("%v clients came to the other gateway", n)
	}
}

// metric is one number of a node's metrics.
func metric(t *testing.T, s *server, name string) float64 {
	t.Helper()
	status, body := get(http.DefaultClient, "http://"+s.Ops+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d %s", status, body)
	}
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

func TestDrainAsksForTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"))
	wrong := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(wrong, []byte("op_not_the_right_one_at_all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "", "drain", s.Ops, "--token-file", wrong); err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("drain with a wrong token: %v", err)
	}
	if status, _ := get(http.DefaultClient, "http://"+s.Ops+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
}

// The second signal does not wait for clients that do not go.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{"one process": nil, "workers": {"--workers", "1"}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, filepath.Join(t.TempDir(), "data"), more...)
			c, err := net.Dial("tcp", s.Link)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// Half a Hello: the link is open, and its goodbye takes until
			// the client closes too.
			if _, err := c.Write([]byte{3, 100, 1}); err != nil {
				t.Fatal(err)
			}
			for metric(t, s, "skein_link_open") < 1 {
			}
			workers := workersOf(t, s)
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			// The goodbye says that it has begun.
			if _, err := bufio.NewReader(c).ReadByte(); err != nil {
				t.Fatal(err)
			}
			if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			<-s.done
			if code := s.cmd.ProcessState.ExitCode(); code != 130 {
				t.Errorf("it exits with %d", code)
			}
			for _, pid := range workers {
				if syscall.Kill(pid, 0) == nil {
					t.Errorf("worker %d is still there", pid)
				}
			}
		})
	}
}

func TestNotice(t *testing.T) { inEveryShape(t, notice) }

func notice(t *testing.T, s *server) {
	u := newUser(t, &world{server: s, http: "http://" + s.HTTP}, "ann")
	const links = 4
	got := make(chan client.Notice, links)
	for range links {
		token, _ := u.login(t)
		c, err := client.Dial(testContext(t), client.Options{Addr: "tcp://" + s.Link, Token: token,
			OnNotice: func(_ *client.Client, n client.Notice) { got <- n }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	out, err := run(t, "", "notify", s.HTTP, "back at ten", "--token-file", filepath.Join(s.Data, "operator.token"))
	if err != nil || out != "4 links were told.\n" {
		t.Fatalf("notify says %q, %v", out, err)
	}
	for range links {
		select {
		case n := <-got:
			if string(n.Content.Body) != "back at ten" {
				t.Errorf("the notice is %q", n.Content.Body)
			}
		case <-testContext(t).Done():
			t.Fatal("a notice did not come")
		}
	}
}

// An address that opens one connection after the other does not keep others
// out.
func TestFloodFromOneAddress(t *testing.T) {
	t.Parallel()
	const most = 50
	s := start(t, filepath.Join(t.TempDir(), "data"), "--unlimited-addrs", "", "--max-conns-per-addr", strconv.Itoa(most))
	u := newUser(t, &world{server: s, http: "http://" + s.HTTP}, "ann")
	flood := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 4 * most {
		c, err := flood.DialContext(testContext(t), "tcp", s.Link)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for metric(t, s, `skein_link_refused_total{reason="address_open"}`) < 3*most {
	}
	if n := metric(t, s, "skein_link_open"); n > most {
		t.Errorf("%v links are open", n)
	}
	// Others are served as before.
	u.dial(t, "tcp://"+s.Link, u.token)
}
