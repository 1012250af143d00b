package bench

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func smallChat() ChatConfig {
	cfg := DefaultChatConfig()
	cfg.Users, cfg.Friends, cfg.Messages, cfg.Body = 12, 3, 4, 100
	cfg.Program = os.Args[0]
	return cfg
}

func mustBeGood(t *testing.T, res *ChatResult, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !res.Good {
		t.Errorf("not good: %+v", res.Tally)
	}
}

func TestChatOverEveryTransport(t *testing.T) {
	for _, transport := range []string{TCP, WS, HTTP} {
		for name, rate := range map[string]float64{"closed": 0, "open": 2000} {
			t.Run(transport+" "+name, func(t *testing.T) {
				cfg := smallChat()
				cfg.Transport, cfg.Rate, cfg.Devices = transport, rate, 2
				var said bytes.Buffer
				cfg.Progress = &said
				res, err := Chat(t.Context(), cfg)
				mustBeGood(t, res, err)
				if res.Sent != 12*3*4 || res.Delivered != 2*res.Sent || res.MsgsPerSec <= 0 || res.DeliverMS.P50 <= 0 || res.AckMS.Max <= 0 {
					t.Errorf("result %+v", res)
				}
				if (res.LatenessMS != nil) != (rate > 0) {
					t.Errorf("lateness %v at rate %v", res.LatenessMS, rate)
				}
				var sum strings.Builder
				res.WriteSummary(&sum)
				if !strings.Contains(sum.String(), "once and in order") || !strings.Contains(said.String(), "sending") {
					t.Errorf("summary %q after %q", sum.String(), said.String())
				}
			})
		}
	}
}

func TestChatForSomeTime(t *testing.T) {
	cfg := smallChat()
	cfg.Duration = 300 * time.Millisecond
	res, err := Chat(t.Context(), cfg)
	mustBeGood(t, res, err)
	if res.Sent == 0 || res.Config.Duration != cfg.Duration {
		t.Errorf("result %+v", res)
	}
}

// A run that was to be long ends well when it is enough.
func TestChatUntilEnough(t *testing.T) {
	cfg := smallChat()
	enough := make(chan struct{})
	cfg.Duration, cfg.Enough = time.Hour, enough
	cfg.Progress = writerFunc(func(p []byte) {
		if string(p) == "sending\n" {
			close(enough)
		}
	})
	res, err := Chat(t.Context(), cfg)
	mustBeGood(t, res, err)
}

// A server that is killed and comes back on the same addresses loses nothing.
func TestChatOutlivesItsServer(t *testing.T) {
	data := t.TempDir()
	srv, err := startServer(t.Context(), os.Args[0], data, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := smallChat()
	cfg.Link, cfg.HTTP = "tcp://"+srv.Link, "http://"+srv.HTTP
	if cfg.OperatorToken, err = srv.operatorToken(); err != nil {
		t.Fatal(err)
	}
	cfg.Duration, cfg.Rate = 2*time.Second, 500
	type outcome struct {
		res *ChatResult
		err error
	}
	done := make(chan outcome, 1)
	sending := make(chan struct{})
	cfg.Progress = writerFunc(func(p []byte) {
		if string(p) == "sending\n" {
			close(sending)
		}
	})
	go func() {
		res, err := Chat(context.Background(), cfg)
		done <- outcome{res, err}
	}()
	<-sending
	if err := srv.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if srv.stop() == nil {
		t.Error("a killed server ended well")
	}
	again, err := startServer(t.Context(), os.Args[0], data, []string{"--link", srv.Link, "--http", srv.HTTP})
	if err != nil {
		t.Fatal(err)
	}
	defer again.stop()
	o := <-done
	mustBeGood(t, o.res, o.err)
	if o.res.Reconnects < uint64(cfg.Users) {
		t.Errorf("%d links were opened again", o.res.Reconnects)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestChatRegistersWithoutTheOperator(t *testing.T) {
	srv, err := startServer(t.Context(), os.Args[0], "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.stop(); err != nil {
			t.Error(err)
		}
	}()
	cfg := smallChat()
	cfg.Users, cfg.Friends, cfg.Devices = 4, 2, 2
	cfg.Link, cfg.HTTP = "tcp://"+srv.Link, "http://"+srv.HTTP
	res, err := Chat(t.Context(), cfg)
	mustBeGood(t, res, err)
}

func TestServersThatDoNotStart(t *testing.T) {
	if _, err := startServer(t.Context(), os.Args[0], "", []string{"--mute"}); err == nil || !strings.Contains(err.Error(), "no JSON") {
		t.Errorf("error %v", err)
	}
	if _, err := startServer(t.Context(), "/no/such/program", "", nil); err == nil {
		t.Error("no error")
	}
}
