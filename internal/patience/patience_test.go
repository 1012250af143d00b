package patience

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that notes why it was ended.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run runs a wait to its end, and returns what ended it.
func run(t *testing.T, wait func(t testing.TB)) string {
	f, done := &failing{TB: t}, make(chan struct{})
	go func() {
		defer close(done)
		wait(f)
	}()
	<-done
	return f.said
}

// What happens late is waited for; what does not happen ends the test, with what
// it was.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, never := make(chan int), make(chan int)
		begun := time.Now()
		go func() {
			time.Sleep(Limit - time.Second)
			late <- 7
			time.Sleep(Limit - time.Second)
		}()
		if said := run(t, func(t testing.TB) {
			if n := Receive(t, "a number", late); n != 7 {
				t.Errorf("got %d", n)
			}
			Until(t, "time", func() (bool, any) { return time.Since(begun) > Limit, nil })
		}); said != "" {
			t.Error(said)
		}
		if said := run(t, func(t testing.TB) { Receive(t, "a number", never) }); !strings.Contains(said, "a number") {
			t.Errorf("it says %q", said)
		}
		if said := run(t, func(t testing.TB) { Until(t, "a wonder", func() (bool, any) { return false, 42 }) }); !strings.Contains(said, "a wonder") ||
			!strings.Contains(said, "42") {
			t.Errorf("it says %q", said)
		}
		ctx := Context(t)
		<-ctx.Done()
		if err := context.Cause(ctx); !strings.Contains(err.Error(), Limit.String()) {
			t.Errorf("the context ends with %v", err)
		}
	})
}

// asChild makes the test binary a process that waits in vain.
const asChild = "PATIENCE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	defer bound(time.Millisecond, "a wonder")()
	waitInVain()
}

func waitInVain() { select {} }

// A wait that nothing can end ends the process, which says where it was.
func TestBound(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), asChild+"=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in vain for a wonder") || !strings.Contains(string(out), "patience.waitInVain") {
		t.Errorf("it ends with %v and says %s", err, out)
	}
	if done := Bound("nothing"); !done() {
		t.Error("what has come is still waited for")
	}
}
