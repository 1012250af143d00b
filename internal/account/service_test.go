package account

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skein-im/skein/internal/im"
)

const password = "correct horse"

func bob(pw string) Credentials {
	return Credentials{Name: "Bob", Password: pw, DeviceName: "phone", Remote: "192.0.2.1:1"}
}

func mustRegister(t testing.TB, s *Service, c Credentials) *Grant {
	t.Helper()
	g, err := s.Register(t.Context(), c)
	if err != nil {
		t.Fatalf("register %s: %v", c.Name, err)
	}
	return g
}

// wantKind also checks that the error is the one type.
func wantKind(t testing.TB, what string, err error, kind im.ErrorKind) {
	t.Helper()
	var e *im.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestRegisterThenAuthenticate(t *testing.T) {
	s, _, _ := newTestService(t)
	g := mustRegister(t, s, bob(password))
	if g.User < im.FirstRegisteredUser || g.Device != 1 {
		t.Errorf("granted %d/%d", g.User, g.Device)
	}
	session, err := s.Authenticate(t.Context(), g.Token)
	if err != nil {
		t.Fatal(err)
	}
	if session.User != g.User || session.Device != g.Device || session.State.Name != "Bob" {
		t.Errorf("session %+v", session)
	}
}

func TestRegisterAgainIsLogin(t *testing.T) {
	s, _, _ := newTestService(t)
	first := mustRegister(t, s, bob(password))
	c := bob(password)
	c.Name = "bOB"
	second := mustRegister(t, s, c)
	if second.User != first.User || second.Device != 2 || second.Token == first.Token {
		t.Errorf("first %+v, second %+v", first, second)
	}
	_, err := s.Register(t.Context(), bob("wrong password"))
	wantKind(t, "register with another password", err, im.AlreadyExists)
}

func TestRegisterChecksLimits(t *testing.T) {
	s, _, _ := newTestService(t)
	for name, c := range map[string]Credentials{
		"no name":          {Password: password},
		"space in name":    {Name: "a b", Password: password},
		"long name":        {Name: strings.Repeat("a", 65), Password: password},
		"short password":   {Name: "a", Password: "1234567"},
		"long password":    {Name: "a", Password: strings.Repeat("1", 257)},
		"long device name": {Name: "a", Password: password, DeviceName: strings.Repeat("d", 65)},
		"broken UTF-8":     {Name: "a", Password: password, DeviceName: "\xff"},
	} {
		_, err := s.Register(t.Context(), c)
		wantKind(t, "register: "+name, err, im.Invalid)
		_, err = s.Login(t.Context(), c)
		wantKind(t, "log in: "+name, err, im.Invalid)
	}
}

// loseRace lets another service bind the name between lookup and binding.
func loseRace(t *testing.T, otherPassword string) (*Grant, *Service, error) {
	s, m, c := newTestService(t)
	other, err := NewService(Config{Mailbox: m, Hasher: s.hasher, Rand: rand.Reader, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	var winner *Grant
	m.Hook = func(_ im.Addr, cmd im.Command) error {
		if _, ok := cmd.(*im.CreateUser); ok && winner == nil {
			m.Hook = nil
			winner = mustRegister(t, other, bob(otherPassword))
		}
		return nil
	}
	g, err := s.Register(t.Context(), bob(password))
	if g != nil && g.User != winner.User {
		t.Errorf("two users, %d and %d, have the name", g.User, winner.User)
	}
	return g, s, err
}

func TestRegisterLosesRace(t *testing.T) {
	if g, _, err := loseRace(t, password); err != nil || g.Device != 2 {
		t.Errorf("against oneself: %+v, %v, want a second device", g, err)
	}
	_, _, err := loseRace(t, "another password")
	wantKind(t, "against somebody else", err, im.AlreadyExists)
}

// A registration is repeated until it succeeds, whichever command failed.
func TestRegisterIsCompletedByRepeating(t *testing.T) {
	for _, failing := range []im.Command{
		&im.LookupName{}, &im.AllocateUsers{}, &im.CreateUser{}, &im.BindName{}, &im.CreateDevice{},
	} {
		t.Run(fmt.Sprintf("%T", failing), func(t *testing.T) {
			s, m, _ := newTestService(t)
			m.Hook = func(_ im.Addr, cmd im.Command) error {
				if fmt.Sprintf("%T", cmd) == fmt.Sprintf("%T", failing) {
					return im.Errorf(im.Unavailable, "the slot is moving")
				}
				return nil
			}
			_, err := s.Register(t.Context(), bob(password))
			wantKind(t, "register", err, im.Unavailable)
			m.Hook = nil
			g := mustRegister(t, s, bob(password))
			if _, err := s.Authenticate(t.Context(), g.Token); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRegisterTakesIdentifiersInBlocks(t *testing.T) {
	s, m, _ := newTestService(t)
	blocks := 0
	m.Hook = func(_ im.Addr, cmd im.Command) error {
		if _, ok := cmd.(*im.AllocateUsers); ok {
			blocks++
		}
		return nil
	}
	users := map[im.UserID]bool{}
	for i := range idBlock + 1 {
		g := mustRegister(t, s, Credentials{Name: fmt.Sprint("user", i), Password: password})
		users[g.User] = true
	}
	if len(users) != idBlock+1 || blocks != 2 {
		t.Errorf("%d users from %d blocks, want %d from 2", len(users), blocks, idBlock+1)
	}
}

func TestRegisterConcurrently(t *testing.T) {
	s, _, _ := newTestService(t)
	const n = 50
	users := make([]im.UserID, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			g, err := s.Register(t.Context(), Credentials{Name: fmt.Sprint("user", i%10), Password: password})
			if err != nil {
				t.Error(err)
				return
			}
			users[i] = g.User
		})
	}
	group.Wait()
	distinct := map[im.UserID]bool{}
	for i := range n {
		distinct[users[i]] = true
		if users[i] != users[i%10] {
			t.Errorf("name %d belongs to %d and %d", i%10, users[i], users[i%10])
		}
	}
	if len(distinct) != 10 {
		t.Errorf("%d users for 10 names", len(distinct))
	}
}

func TestLogin(t *testing.T) {
	s, _, _ := newTestService(t)
	first := mustRegister(t, s, bob(password))
	c := bob(password)
	c.Name = "BOB"
	g, err := s.Login(t.Context(), c)
	if err != nil || g.User != first.User || g.Device != 2 {
		t.Fatalf("login: %+v, %v", g, err)
	}
	if _, err := s.Authenticate(t.Context(), g.Token); err != nil {
		t.Error(err)
	}
}

func TestWrongPasswordAndUnknownNameLookAlike(t *testing.T) {
	s, _, _ := newTestService(t)
	mustRegister(t, s, bob(password))
	_, wrong := s.Login(t.Context(), bob("wrong password"))
	c := bob(password)
	c.Name = "nobody"
	_, unknown := s.Login(t.Context(), c)
	wantKind(t, "wrong password", wrong, im.Unauthenticated)
	if diff := cmp.Diff(wrong, unknown); diff != "" {
		t.Errorf("the two differ: %s", diff)
	}
}

// Both cases must compute a hash; the hasher says so when it is full.
func TestUnknownNameCostsAHash(t *testing.T) {
	s, _, _ := newTestService(t)
	for range cap(s.hasher.places) {
		s.hasher.places <- struct{}{}
	}
	_, err := s.Login(t.Context(), Credentials{Name: "nobody", Password: password})
	wantKind(t, "login of an unknown name with a full hasher", err, im.Busy)
}

func TestFailedLoginsAreLimitedByName(t *testing.T) {
	s, _, c := newTestService(t)
	mustRegister(t, s, bob(password))
	for i := range NameFailures {
		// Register with a wrong password guesses as well as Login does.
		guess := s.Login
		want := im.Unauthenticated
		if i%2 == 1 {
			guess, want = s.Register, im.AlreadyExists
		}
		_, err := guess(t.Context(), bob("wrong password"))
		wantKind(t, fmt.Sprint("guess ", i), err, want)
	}
	elsewhere := bob(password)
	elsewhere.Remote = "198.51.100.9:1"
	_, err := s.Login(t.Context(), elsewhere)
	wantKind(t, "the right password after too many wrong ones", err, im.Busy)
	var e *im.Error
	if errors.As(err, &e) && e.RetryAfterMS != uint32(NameInterval.Milliseconds()) {
		t.Errorf("come back after %d ms, want %v", e.RetryAfterMS, NameInterval)
	}
	_, err = s.Register(t.Context(), elsewhere)
	wantKind(t, "registering with it", err, im.Busy)
	c.now = c.now.Add(NameInterval)
	if _, err := s.Login(t.Context(), elsewhere); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestFailedLoginsAreLimitedByAddress(t *testing.T) {
	s, _, _ := newTestService(t)
	mustRegister(t, s, bob(password))
	for i := range AddressFailures {
		_, err := s.Login(t.Context(), Credentials{Name: fmt.Sprint("n", i), Password: password, Remote: fmt.Sprint("203.0.113.5:", i)})
		wantKind(t, fmt.Sprint("guess ", i), err, im.Unauthenticated)
	}
	c := bob(password)
	c.Remote = "203.0.113.5:999"
	_, err := s.Login(t.Context(), c)
	wantKind(t, "from the address of the guesser", err, im.Busy)
	c.Remote = "203.0.113.6:999"
	if _, err := s.Login(t.Context(), c); err != nil {
		t.Errorf("from another address: %v", err)
	}
}

func TestSuccessfulLoginsAreNotLimited(t *testing.T) {
	s, _, _ := newTestService(t)
	mustRegister(t, s, bob(password))
	for i := range AddressFailures + 1 {
		if _, err := s.Login(t.Context(), bob(password)); err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
	}
}

func TestLookupUser(t *testing.T) {
	s, _, _ := newTestService(t)
	g := mustRegister(t, s, bob(password))
	user, name, err := s.LookupUser(t.Context(), "bob")
	if user != g.User || name != "Bob" || err != nil {
		t.Errorf("LookupUser = %d, %q, %v", user, name, err)
	}
	_, _, err = s.LookupUser(t.Context(), "nobody")
	wantKind(t, "unknown name", err, im.NotFound)
	_, _, err = s.LookupUser(t.Context(), "no body")
	wantKind(t, "impossible name", err, im.Invalid)
}

func TestBadTokensLookAlike(t *testing.T) {
	s, m, _ := newTestService(t)
	g := mustRegister(t, s, bob(password))
	if _, err := im.Do(t.Context(), m, im.User(g.User), &im.RevokeDevice{Device: g.Device}); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty":          "",
		"malformed":      "sk_!",
		"revoked":        g.Token,
		"wrong secret":   Token(g.User, g.Device, Secret{}),
		"unknown device": Token(g.User, 7, Secret{}),
		"unknown user":   Token(42, 1, Secret{}),
	} {
		_, err := s.Authenticate(t.Context(), token)
		wantKind(t, name, err, im.Unauthenticated)
		var e *im.Error
		if errors.As(err, &e) && e.Detail != "the token is not valid; log in again" {
			t.Errorf("%s: detail %q tells what is wrong", name, e.Detail)
		}
	}
}

func TestAuthenticateKeepsTemporaryErrors(t *testing.T) {
	s, m, _ := newTestService(t)
	g := mustRegister(t, s, bob(password))
	m.Hook = func(im.Addr, im.Command) error { return im.Errorf(im.Unavailable, "moving") }
	_, err := s.Authenticate(t.Context(), g.Token)
	wantKind(t, "while the slot moves", err, im.Unavailable)
}

func TestNewServiceChecksConfig(t *testing.T) {
	if _, err := NewService(Config{}); err == nil {
		t.Error("a service without anything")
	}
}
