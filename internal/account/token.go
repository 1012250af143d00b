package account

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/skein-im/skein/internal/im"
)

// SecretSize is how many random bytes a device's token holds.
const SecretSize = 20

// Secret is what a device proves itself with. It does not print.
type Secret [SecretSize]byte

// NewSecret reads a secret from a source of randomness.
func NewSecret(rand io.Reader) (Secret, error) {
	var s Secret
	if _, err := io.ReadFull(rand, s[:]); err != nil {
		return Secret{}, &im.Error{Kind: im.Internal, Detail: "no randomness for a token", Err: err}
	}
	return s, nil
}

// Hash is what the mailbox keeps of a secret.
func (s Secret) Hash() [32]byte { return sha256.Sum256(s[:]) }

// Format keeps the secret out of whatever is printed.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// MarshalText keeps the secret out of logs and JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// The text form of a token: the prefix, then in base64url without padding the
// user and the device as unsigned varints and the secret.
const (
	tokenPrefix  = "sk_"
	maxUserBytes = 8
	maxTokenRaw  = maxUserBytes + binary.MaxVarintLen32 + SecretSize
	minTokenRaw  = 1 + 1 + SecretSize
)

var (
	tokenEncoding = base64.RawURLEncoding.Strict()
	maxTokenText  = len(tokenPrefix) + tokenEncoding.EncodedLen(maxTokenRaw)
	minTokenText  = len(tokenPrefix) + tokenEncoding.EncodedLen(minTokenRaw)
)

// Token is the text form of a device's credentials.
func Token(user im.UserID, device im.DeviceID, secret Secret) string {
	raw := make([]byte, 0, maxTokenRaw+2)
	raw = binary.AppendUvarint(raw, uint64(user))
	raw = binary.AppendUvarint(raw, uint64(device))
	raw = append(raw, secret[:]...)
	return tokenPrefix + tokenEncoding.EncodeToString(raw)
}

// ParseToken reads a token's text form and returns its user, its device and
// the SHA-256 of its secret. Every token has exactly one text form. Errors do
// not quote the token.
func ParseToken(text string) (im.UserID, im.DeviceID, [32]byte, error) {
	if len(text) < minTokenText || len(text) > maxTokenText || !strings.HasPrefix(text, tokenPrefix) {
		return 0, 0, [32]byte{}, errMalformedToken()
	}
	var in [64]byte
	n := copy(in[:], text[len(tokenPrefix):])
	// The decoder skips line breaks, even when strict.
	if strings.ContainsAny(text, "\r\n") {
		return 0, 0, [32]byte{}, errMalformedToken()
	}
	var out [maxTokenRaw]byte
	size, err := tokenEncoding.Decode(out[:], in[:n])
	if err != nil {
		return 0, 0, [32]byte{}, errMalformedToken()
	}
	raw := out[:size]
	user, raw, ok := cutUvarint(raw, uint64(im.MaxUser))
	if !ok {
		return 0, 0, [32]byte{}, errMalformedToken()
	}
	device, raw, ok := cutUvarint(raw, math.MaxUint32)
	if !ok || len(raw) != SecretSize {
		return 0, 0, [32]byte{}, errMalformedToken()
	}
	return im.UserID(user), im.DeviceID(device), sha256.Sum256(raw), nil
}

// cutUvarint takes a number from 1 to most, in its shortest form.
func cutUvarint(raw []byte, most uint64) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(raw)
	if n <= 0 || v == 0 || v > most || n > 1 && raw[n-1] == 0 {
		return 0, nil, false
	}
	return v, raw[n:], true
}

func errMalformedToken() error {
	return im.Errorf(im.Unauthenticated, "the token is malformed")
}
