package account

import (
	"crypto/sha256"
	"crypto/subtle"
	"path/filepath"
)

// OperatorTokenFile is the name of the operator's token in the data directory.
const OperatorTokenFile = "operator.token"

// LoadOrCreateOperatorToken returns the operator's token of a data directory
// and makes one when there is none.
func LoadOrCreateOperatorToken(dir string) (string, error) {
	return LoadOrCreateSecret(filepath.Join(dir, OperatorTokenFile), "op_")
}

// Operator recognizes the operator. The zero Operator recognizes nobody.
type Operator struct {
	hash [32]byte
	set  bool
}

// NewOperator makes an Operator that recognizes a token, or nobody when it is
// empty.
func NewOperator(token string) Operator {
	return Operator{hash: sha256.Sum256([]byte(token)), set: token != ""}
}

// Match reports whether token is the operator's, in constant time.
func (o Operator) Match(token string) bool {
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], o.hash[:]) == 1 && o.set
}
