package account

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/skein-im/skein/internal/im"
)

// Limits of a password, in bytes.
const (
	MinPassword = 8
	MaxPassword = 256
)

// CheckPassword reports why a password is not acceptable.
func CheckPassword(password string) error {
	if n := len(password); n < MinPassword || n > MaxPassword {
		return im.Errorf(im.Invalid, "a password has %d to %d bytes", MinPassword, MaxPassword)
	}
	return nil
}

// Params are argon2id's costs.
type Params struct {
	// MemoryKiB is how much memory one hash takes.
	MemoryKiB uint32
	// Passes over the memory.
	Passes uint32
	// Lanes are computed in parallel.
	Lanes uint8
}

// DefaultParams are the costs of new hashes, those that OWASP recommends for
// argon2id with one lane: some 20 ms of one core.
func DefaultParams() Params { return Params{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1} }

// Bounds of the hashes that are verified. They limit what one login can cost,
// whatever a stored hash says.
const (
	maxMemoryKiB = 64 << 10
	maxPasses    = 10
	maxLanes     = 4
	minSalt      = 8
	maxSalt      = 64
	minKey       = 16
	maxKey       = 64
	maxPHC       = 256
)

// Sizes of new hashes.
const (
	saltSize = 16
	keySize  = 32
)

func (p Params) check() error {
	if p.Lanes < 1 || p.Lanes > maxLanes || p.Passes < 1 || p.Passes > maxPasses ||
		p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > maxMemoryKiB {
		return fmt.Errorf("argon2id parameters m=%d,t=%d,p=%d are out of bounds", p.MemoryKiB, p.Passes, p.Lanes)
	}
	return nil
}

// phc is a hash in the PHC string format.
type phc struct {
	params Params
	salt   []byte
	key    []byte
}

func (h *phc) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.MemoryKiB, h.params.Passes, h.params.Lanes, enc.EncodeToString(h.salt), enc.EncodeToString(h.key))
}

// derive computes the key for a password.
func (p Params) derive(password string, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(password), salt, p.Passes, p.MemoryKiB, p.Lanes, uint32(size))
}

// matches computes the password's key and compares it in constant time.
func (h *phc) matches(password string) bool {
	key := h.params.derive(password, h.salt, len(h.key))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// parsePHC reads the one form that String writes. Errors do not quote it.
func parsePHC(s string) (*phc, error) {
	if len(s) > maxPHC {
		return nil, fmt.Errorf("a password hash has at most %d bytes", maxPHC)
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return nil, fmt.Errorf("a password hash starts with $argon2id$ and has five parts")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("the password hash is of another version of argon2")
	}
	params, err := parseParams(parts[3])
	if err != nil {
		return nil, err
	}
	h := &phc{params: params}
	if h.salt, err = parseBase64(parts[4], minSalt, maxSalt); err != nil {
		return nil, fmt.Errorf("salt of the password hash: %w", err)
	}
	if h.key, err = parseBase64(parts[5], minKey, maxKey); err != nil {
		return nil, fmt.Errorf("key of the password hash: %w", err)
	}
	return h, nil
}

func parseParams(s string) (Params, error) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return Params{}, fmt.Errorf("a password hash has the parameters m, t and p")
	}
	var v [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
			return Params{}, fmt.Errorf("a password hash has the parameters m, t and p")
		}
		v[i] = n
	}
	if v[2] > math.MaxUint8 {
		return Params{}, fmt.Errorf("a password hash has at most %d lanes", maxLanes)
	}
	p := Params{MemoryKiB: uint32(v[0]), Passes: uint32(v[1]), Lanes: uint8(v[2])}
	return p, p.check()
}

func parseBase64(s string, least, most int) ([]byte, error) {
	if n := base64.RawStdEncoding.DecodedLen(len(s)); n < least || n > most {
		return nil, fmt.Errorf("%d bytes, not %d to %d", n, least, most)
	}
	// The decoder skips line breaks, even when strict.
	if strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("line break in base64")
	}
	return base64.RawStdEncoding.Strict().DecodeString(s)
}
