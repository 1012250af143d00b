package swarm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/im"
)

// device is the only one that a user of a swarm has.
const device im.DeviceID = 1

// Secret is that of a user's device. It follows from the seed: whoever knows
// that can be any of these users, who are there for nothing else.
func Secret(seed uint64, user im.UserID) account.Secret {
	var key, message [8]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(message[:], uint64(user))
	mac := hmac.New(sha256.New, key[:])
	mac.Write(message[:])
	return account.Secret(mac.Sum(nil)[:account.SecretSize])
}

// Token is what a user's device logs in with.
func Token(seed uint64, user im.UserID) string {
	return account.Token(user, device, Secret(seed, user))
}
