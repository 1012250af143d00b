package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"

	"github.com/skein-im/skein/internal/im"
)

// busyRetryMS is what callers are told to wait when too many are waiting
// already: about as long as the default queue takes on one core.
const busyRetryMS = 1000

// HasherConfig says how much hashing may cost.
type HasherConfig struct {
	// Params of new hashes.
	Params Params
	// Concurrent is how many hashes may be computed at a time. Each takes
	// Params.MemoryKiB and Params.Lanes cores.
	Concurrent int
	// Waiting is how many callers may wait for their turn. Further ones are
	// refused as Busy.
	Waiting int
	// Rand is where salts come from.
	Rand io.Reader
}

// DefaultHasherConfig leaves one core to the messages, where there are two.
func DefaultHasherConfig() HasherConfig {
	return HasherConfig{
		Params:     DefaultParams(),
		Concurrent: max(1, runtime.GOMAXPROCS(0)-1),
		Waiting:    32,
		Rand:       rand.Reader,
	}
}

// Hasher hashes and verifies passwords, a few at a time.
type Hasher struct {
	params Params
	rand   io.Reader
	// places has room for those who compute and those who wait.
	places chan struct{}
	turns  chan struct{}
	// nobody is the hash that stands in for users who do not exist.
	nobody *phc
}

// NewHasher makes a Hasher.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if err := cfg.Params.check(); err != nil {
		return nil, err
	}
	if cfg.Concurrent < 1 || cfg.Waiting < 0 || cfg.Rand == nil {
		return nil, fmt.Errorf("a hasher needs a turn at least and a source of randomness")
	}
	return &Hasher{
		params: cfg.Params,
		rand:   cfg.Rand,
		places: make(chan struct{}, cfg.Concurrent+cfg.Waiting),
		turns:  make(chan struct{}, cfg.Concurrent),
		nobody: &phc{params: cfg.Params, salt: make([]byte, saltSize), key: make([]byte, keySize)},
	}, nil
}

// Load is how many hashes are being computed, how many callers are there in
// all, and how many there may be.
func (h *Hasher) Load() (running, callers, most int) {
	return len(h.turns), len(h.places), cap(h.places)
}

// enter waits for a turn. The caller leaves when err is nil.
func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.places <- struct{}{}:
	default:
		return &im.Error{Kind: im.Busy, RetryAfterMS: busyRetryMS, Detail: "too many logins at this moment; try again"}
	}
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-h.places
		return &im.Error{Kind: im.Unavailable, RetryAfterMS: busyRetryMS,
			Detail: "the login was given up while it waited for its turn", Err: context.Cause(ctx)}
	}
}

func (h *Hasher) leave() {
	<-h.turns
	<-h.places
}

// Hash returns the password's hash in PHC form, with a new salt.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(h.rand, salt); err != nil {
		return "", &im.Error{Kind: im.Internal, Detail: "no randomness for a salt", Err: err}
	}
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	hash := phc{params: h.params, salt: salt, key: h.params.derive(password, salt, keySize)}
	return hash.String(), nil
}

// Verify reports whether the password belongs to a hash that Hash returned,
// now or with other parameters.
func (h *Hasher) Verify(ctx context.Context, password, encoded string) (bool, error) {
	hash, err := parsePHC(encoded)
	if err != nil {
		return false, &im.Error{Kind: im.Internal, Detail: "the stored password hash cannot be read", Err: err}
	}
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	return hash.matches(password), nil
}

// VerifyNobody does the work of Verify for a user who does not exist, so that
// the time an answer takes does not tell which names do.
func (h *Hasher) VerifyNobody(ctx context.Context, password string) error {
	if err := h.enter(ctx); err != nil {
		return err
	}
	defer h.leave()
	h.nobody.matches(password)
	return nil
}
