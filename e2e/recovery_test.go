package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestRecovery measures for how long users wait when a mailbox node dies or
// stops: TEST_RECOVERY_TRIALS=10 go test ./e2e -run TestRecovery -v.
func TestRecovery(t *testing.T) {
	trials, _ := strconv.Atoi(os.Getenv("TEST_RECOVERY_TRIALS"))
	if trials == 0 {
		t.Skip("it measures; TEST_RECOVERY_TRIALS says how often")
	}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		for _, count := range []int{2, 3} {
			t.Run(fmt.Sprintf("%v of one of %d", signal, count), func(t *testing.T) {
				var acks, deliveries []time.Duration
				for range trials {
					ack, delivery := recovery(t, signal, count)
					acks, deliveries = append(acks, ack), append(deliveries, delivery)
				}
				slices.Sort(acks)
				slices.Sort(deliveries)
				t.Logf("%d trials: the longest wait for an ack was %v in the median, %v at most; for a delivery %v and %v",
					trials, acks[trials/2], acks[trials-1], deliveries[trials/2], deliveries[trials-1])
			})
		}
	}
}

// recovery sends a signal to one of some mailbox nodes during a chat, and says for
// how long somebody waited for an ack, and for a delivery.
func recovery(t *testing.T, signal syscall.Signal, count int) (ack, delivery time.Duration) {
	t.Helper()
	c := newNodes(t, filepath.Join(t.TempDir(), "data"))
	boxes := make([]*server, count)
	for i, name := range []string{"one", "two", "three"}[:count] {
		boxes[i] = c.mailbox(name)
	}
	c.await("the nodes share the slots", settled(count))
	x := c.trial("9s", boxes[0], boxes[1])
	silence := watchStore(t, c.redis())
	victim := boxes[count-1]
	if err := victim.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := x.ended(time.Minute)
	t.Logf("the store was silent for up to %v meanwhile", silence())
	if out := os.Getenv("TEST_RECOVERY_LOGS"); out != "" {
		for i, s := range append(boxes, x.gate) {
			keep(t, filepath.Join(out, fmt.Sprintf("%d-%d", began.UnixMilli(), i)), s)
		}
	}
	for _, s := range append(boxes, x.gate) {
		s.kill()
	}
	return r.waits()
}

// keep keeps what a node has logged and counted.
func keep(t *testing.T, path string, s *server) {
	t.Helper()
	if err := os.WriteFile(path+".log", []byte(s.logs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Second}
	if status, body := get(&client, "http://"+s.Ops+"/metrics"); status == http.StatusOK {
		if err := os.WriteFile(path+".metrics", []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// watchStore asks a Redis server all the time whether it is there, and says what
// the longest time was that it took to answer: what is longer than that is not the
// store's fault, or the machine's.
func watchStore(t *testing.T, addr string) (longest func() time.Duration) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(lifetime(t)))
	var worst time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := bufio.NewReader(nc)
		for {
			began := time.Now()
			if _, err := nc.Write([]byte("PING\r\n")); err != nil {
				return
			}
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			worst = max(worst, time.Since(began))
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return func() time.Duration {
		nc.Close()
		<-done
		return worst.Round(time.Millisecond)
	}
}
