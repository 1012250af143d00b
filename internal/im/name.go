package im

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// MaxName is the most bytes a user name may have.
const MaxName = 64

// CheckName reports why a user name is not acceptable: 1 to 64 letters,
// digits, '.', '_' or '-' of ASCII.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return Errorf(Invalid, "a user name has 1 to %d characters", MaxName)
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return Errorf(Invalid, "a user name has letters, digits, '.', '_' and '-' only")
		}
	}
	return nil
}

// FoldName is the form under which a name is unique.
func FoldName(name string) string { return strings.ToLower(name) }

// NameAddr is the entity that binds a name. Names with equal hashes share it.
func NameAddr(name string) Addr {
	sum := sha256.Sum256([]byte(FoldName(name)))
	return Addr{Kind: KindName, ID: binary.BigEndian.Uint64(sum[:8])}
}
