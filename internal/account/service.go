package account

import (
	"context"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/skein-im/skein/internal/im"
)

// Config is what a Service needs.
type Config struct {
	Mailbox im.Mailbox
	Hasher  *Hasher
	// Rand is where secrets of devices come from.
	Rand io.Reader
	// Now is the clock by which failed logins are counted.
	Now func() time.Time
}

// Service registers users and logs them in. Its methods may be called
// concurrently; their errors are *im.Error.
type Service struct {
	mailbox  im.Mailbox
	hasher   *Hasher
	rand     io.Reader
	now      func() time.Time
	failures loginFailures
	ids      *allocator
}

// NewService makes a Service.
func NewService(cfg Config) (*Service, error) {
	if cfg.Mailbox == nil || cfg.Hasher == nil || cfg.Rand == nil || cfg.Now == nil {
		return nil, fmt.Errorf("an account service needs a mailbox, a hasher, randomness and a clock")
	}
	return &Service{
		mailbox:  cfg.Mailbox,
		hasher:   cfg.Hasher,
		rand:     cfg.Rand,
		now:      cfg.Now,
		failures: newLoginFailures(),
		ids:      newAllocator(cfg.Mailbox),
	}, nil
}

// Credentials are what somebody presents to register or to log in.
type Credentials struct {
	Name       string
	Password   string
	DeviceName string
	// Remote is the address it comes from, with or without a port; failed
	// logins are counted by it.
	Remote string
}

func (c *Credentials) check() error {
	if err := im.CheckName(c.Name); err != nil {
		return err
	}
	if err := CheckPassword(c.Password); err != nil {
		return err
	}
	if len(c.DeviceName) > im.MaxDeviceName || !utf8.ValidString(c.DeviceName) {
		return im.Errorf(im.Invalid, "a device's name is text of at most %d bytes", im.MaxDeviceName)
	}
	return nil
}

// Grant is a new device of a user, and the only time its token is seen.
type Grant struct {
	User   im.UserID
	Device im.DeviceID
	Token  string
}

// Register creates a user and a first device. Somebody who presents the
// password of the user who already has the name is logged in instead, so that
// a registration whose answer was lost can be repeated.
func (s *Service) Register(ctx context.Context, c Credentials) (*Grant, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	holder, err := s.lookup(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	if holder != nil {
		return s.enter(ctx, holder, &c, errNameTaken())
	}
	hash, err := s.hasher.Hash(ctx, c.Password)
	if err != nil {
		return nil, err
	}
	user, err := s.ids.next(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := im.Do(ctx, s.mailbox, im.User(user), &im.CreateUser{Name: c.Name}); err != nil {
		return nil, err
	}
	holder, err = im.Ask[*im.NameInfo](ctx, s.mailbox, im.NameAddr(c.Name),
		&im.BindName{Name: c.Name, User: user, PasswordHash: hash})
	if err != nil {
		return nil, err
	}
	if holder.User != user {
		// Somebody else was faster; the user just created stays nameless.
		return s.enter(ctx, holder, &c, errNameTaken())
	}
	return s.grant(ctx, user, c.DeviceName)
}

// Login creates a device for a user who knows the password.
func (s *Service) Login(ctx context.Context, c Credentials) (*Grant, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	holder, err := s.lookup(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	return s.enter(ctx, holder, &c, errWrongCredentials())
}

// errWrongCredentials is the same whether the name or the password is wrong.
func errWrongCredentials() *im.Error {
	return im.Errorf(im.Unauthenticated, "wrong user name or password")
}

func errNameTaken() *im.Error {
	return im.Errorf(im.AlreadyExists, "the user name is taken")
}

// enter gives a device to whoever knows the holder's password, and the refusal
// to others. Without holder nobody does.
func (s *Service) enter(ctx context.Context, holder *im.NameInfo, c *Credentials, refusal *im.Error) (*Grant, error) {
	if err := s.failures.check(c, s.now()); err != nil {
		return nil, err
	}
	var ok bool
	var err error
	if holder == nil {
		err = s.hasher.VerifyNobody(ctx, c.Password)
	} else {
		ok, err = s.hasher.Verify(ctx, c.Password, holder.PasswordHash)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		s.failures.charge(c, s.now())
		return nil, refusal
	}
	return s.grant(ctx, holder.User, c.DeviceName)
}

func (s *Service) grant(ctx context.Context, user im.UserID, deviceName string) (*Grant, error) {
	secret, err := NewSecret(s.rand)
	if err != nil {
		return nil, err
	}
	created, err := im.Ask[*im.DeviceCreated](ctx, s.mailbox, im.User(user),
		&im.CreateDevice{Name: deviceName, TokenHash: secret.Hash()})
	if err != nil {
		return nil, err
	}
	return &Grant{User: user, Device: created.Device, Token: Token(user, created.Device, secret)}, nil
}

// lookup returns who has a name, nil when nobody does.
func (s *Service) lookup(ctx context.Context, name string) (*im.NameInfo, error) {
	holder, err := im.Ask[*im.NameInfo](ctx, s.mailbox, im.NameAddr(name), &im.LookupName{Name: name})
	if im.KindOf(err) == im.NotFound {
		return nil, nil
	}
	return holder, err
}

// LookupUser returns the user who has a name, and the name as it was
// registered.
func (s *Service) LookupUser(ctx context.Context, name string) (im.UserID, string, error) {
	if err := im.CheckName(name); err != nil {
		return 0, "", err
	}
	holder, err := s.lookup(ctx, name)
	if err != nil {
		return 0, "", err
	}
	if holder == nil {
		return 0, "", im.Errorf(im.NotFound, "there is no user of this name")
	}
	return holder.User, holder.Name, nil
}

// Session is a device whose token the mailbox has just accepted.
type Session struct {
	User      im.UserID
	Device    im.DeviceID
	TokenHash [32]byte
	// State of the mailbox at that moment.
	State *im.Attached
}

// Authenticate asks the user's mailbox whether a token is good now. The answer
// for one that is not does not tell what is wrong with it.
func (s *Service) Authenticate(ctx context.Context, token string) (*Session, error) {
	user, device, hash, err := ParseToken(token)
	if err != nil {
		return nil, errBadToken(err)
	}
	state, err := im.Ask[*im.Attached](ctx, s.mailbox, im.User(user), &im.Authenticate{Device: device, TokenHash: hash})
	switch im.KindOf(err) {
	case im.KindUnspecified:
		return &Session{User: user, Device: device, TokenHash: hash, State: state}, nil
	case im.Unauthenticated, im.NotFound, im.PermissionDenied:
		return nil, errBadToken(err)
	}
	return nil, err
}

func errBadToken(cause error) error {
	return &im.Error{Kind: im.Unauthenticated, Detail: "the token is not valid; log in again", Err: cause}
}
