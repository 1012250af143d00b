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
	"github.com/skein-im/skein/internal/patience"
)

// mailboxArgs are the arguments for a mailbox on free ports.
func mailboxArgs(t *testing.T, data string, more ...string) []string {
	args := []string{"mailbox", "--json", "--data", data, "--role-listen", freeAddr(t), "--ops", freeAddr(t)}
	return append(args, more...)
}

// gatewayArgs are the arguments for a gateway of a mailbox, on free ports.
func gatewayArgs(t *testing.T, m *server, more ...string) []string {
	args := []string{"gateway", "--json", "--data", m.Data, "--mailbox", m.Roles,
		"--http", freeAddr(t), "--link", freeAddr(t), "--ops", freeAddr(t)}
	return append(args, more...)
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
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(t, data)...)
	g := startNode(t, gatewayArgs(t, m)...)
	finished, verdict := longChat(t, g, 100, "--friends", "10", "--rate", "200")
	for range kills {
		between(t, finished, verdict)
		m.kill()
		m = startNode(t, mailboxArgs(t, data, "--role-listen", m.Roles, "--ops", m.Ops)...)
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
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	m := startNode(t, mailboxArgs(t, data)...)
	g := startNode(t, gatewayArgs(t, m)...)
	fixed := gatewayArgs(t, m, g.fixed()...)
	finished, verdict := longChat(t, g, 100, "--friends", "10", "--rate", "200")
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
	inBothShapes(t, setup{front: []string{"--workers", "2"}}, workerDies)
}

func workerDies(t *testing.T, p *product) {
	finished, verdict := longChat(t, p.server, 100, "--friends", "10", "--rate", "200")
	killed := 0
	for range kills {
		between(t, finished, verdict)
		if workers := workersOf(t, p.server); len(workers) > 0 {
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
	if _, body := get(web, "http://"+p.Ops+"/metrics"); !strings.Contains(body, "skein_workers 2") {
		t.Error("the metrics do not tell of the workers")
	}
	p.stop(t)
}

// What is drained sends its clients away, and stops: to another gateway, or, if
// it is alone, back to itself after it has been started again.
func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run(together, func(t *testing.T) {
		t.Parallel()
		p := inOne(t, filepath.Join(t.TempDir(), "data"), setup{})
		verdict := drainDuringChat(t, p)
		p.restart()
		verdict().check(t)
		if n := metric(t, p.server, "skein_gateway_logins_total"); n < 100 {
			t.Errorf("%v clients came back", n)
		}
	})
	t.Run(apart, func(t *testing.T) {
		t.Parallel()
		link := freeAddr(t)
		p := overRedis(t, filepath.Join(t.TempDir(), "data"), setup{front: []string{"--reconnect-to", link}})
		other := startNode(t, p.shared.args("gateway", "other", "--link", link)...)
		drainDuringChat(t, p)().check(t)
		if n := metric(t, other, "skein_gateway_logins_total"); n < 100 {
			t.Errorf("%v clients came to the other gateway", n)
		}
	})
}

// drainDuringChat drains what the clients of a chat are connected to.
func drainDuringChat(t *testing.T, p *product) (verdict func() benchResult) {
	t.Helper()
	_, verdict = longChat(t, p.server, 100, "--friends", "10", "--rate", "200")
	out, err := run(t, "", "drain", p.Ops, "--token-file", filepath.Join(p.Data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "has stopped") {
		t.Errorf("drain says %q", out)
	}
	p.await(t)
	if p.err != nil {
		t.Errorf("it ended with %v", p.err)
	}
	return verdict
}

// metric is one number of a node's metrics.
func metric(t *testing.T, s *server, name string) float64 {
	t.Helper()
	status, body := get(web, "http://"+s.Ops+"/metrics")
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
	inBothShapes(t, setup{}, func(t *testing.T, p *product) {
		wrong := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(wrong, []byte("op_not_the_right_one_at_all"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, n := range p.parts {
			if _, err := run(t, "", "drain", n.Ops, "--token-file", wrong); err == nil || !strings.Contains(err.Error(), "401") {
				t.Fatalf("drain with a wrong token: %v", err)
			}
			if status, _ := get(web, "http://"+n.Ops+"/readyz"); status != http.StatusOK {
				t.Errorf("readyz: %d", status)
			}
		}
	})
}

// The second signal does not wait for clients that do not go.
func TestSecondSignal(t *testing.T) {
	inEveryShape(t, func(t *testing.T, p *product) {
		s := p.server
		c := clientThatStays(t, s)
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
		s.await(t)
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

func TestNotice(t *testing.T) { inEveryShape(t, notice) }

func notice(t *testing.T, s *product) {
	u := newUser(t, s.world(), "ann")
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
	const most = 50
	limits := setup{front: []string{"--unlimited-addrs", "", "--max-conns-per-addr", strconv.Itoa(most)}}
	inBothShapes(t, limits, func(t *testing.T, p *product) {
		u := newUser(t, p.world(), "ann")
		flood := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
		for range 4 * most {
			c, err := flood.DialContext(testContext(t), "tcp", p.Link)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		patience.Until(t, "what is too much is refused", func() (bool, any) {
			n := metric(t, p.server, `skein_link_refused_total{reason="address_open"}`)
			return n >= 3*most, n
		})
		if n := metric(t, p.server, "skein_link_open"); n > most {
			t.Errorf("%v links are open", n)
		}
		// Others are served as before.
		u.dial(t, "tcp://"+p.Link, u.token)
	})
}
