package accept

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// listener answers as it is told.
type listener struct {
	net.Listener
	answers []error
	asked   []time.Time
	closed  chan struct{}
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *listener) Accept() (net.Conn, error) {
	l.asked = append(l.asked, time.Now())
	if len(l.answers) == 0 {
		<-l.closed
		return nil, net.ErrClosed
	}
	err := l.answers[0]
	l.answers = l.answers[1:]
	if err != nil {
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return &net.TCPConn{}, nil
}

// What passes is waited for, ever longer until something is accepted.
func TestFailuresThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &listener{closed: make(chan struct{})}
		for range 10 {
			l.answers = append(l.answers, syscall.EMFILE)
		}
		l.answers = append(l.answers, nil, syscall.ECONNABORTED, nil)
		stop, taken := make(chan struct{}), 0
		go func() {
			time.Sleep(time.Minute)
			close(stop)
			close(l.closed)
		}()
		if err := Loop(l, stop, slog.New(slog.NewTextHandler(&log, nil)), func(net.Conn) { taken++ }); err != nil {
			t.Error(err)
		}
		if first, last := l.asked[1].Sub(l.asked[0]), l.asked[10].Sub(l.asked[9]); first != minWait || last != maxWait {
			t.Errorf("it waits %v at first and %v in the end", first, last)
		}
		if again := l.asked[12].Sub(l.asked[11]); again != minWait || taken != 2 || strings.Count(log.String(), "cannot accept") != 11 {
			t.Errorf("then %v; %d were taken\n%s", again, taken, log.String())
		}
	})
}

// What does not pass ends it; so does stopping while it waits.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		err := Loop(&listener{answers: []error{syscall.EINVAL}}, nil, quiet, nil)
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("it ends with %v", err)
		}
		stop := make(chan struct{})
		l := &listener{answers: []error{syscall.ENOMEM, syscall.EINVAL}}
		done := make(chan error)
		go func() { done <- Loop(l, stop, quiet, nil) }()
		synctest.Wait()
		close(stop)
		if err := <-done; err != nil || len(l.asked) != 1 {
			t.Errorf("stopped, it asks %d times and ends with %v", len(l.asked), err)
		}
	})
}
