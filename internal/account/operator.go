package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// OperatorTokenFile is the name of the operator's token in the data directory.
const OperatorTokenFile = "operator.token"

const (
	operatorPrefix  = "op_"
	operatorSecret  = 32
	minOperatorText = 24
	maxOperatorText = 256
)

// LoadOrCreateOperatorToken returns the operator's token of a data directory
// and makes one when there is none. The file is only readable by its owner,
// and never there half written: of two processes that create it at the same
// time both return the same token.
func LoadOrCreateOperatorToken(dir string) (string, error) {
	path := filepath.Join(dir, OperatorTokenFile)
	token, err := readOperatorToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := createOperatorToken(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create the operator's token: %w", err)
	}
	return readOperatorToken(path)
}

func readOperatorToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOperatorText+2))
	if err != nil {
		return "", fmt.Errorf("read the operator's token: %w", err)
	}
	token := strings.TrimRight(string(text), "\r\n")
	if len(token) < minOperatorText || len(token) > maxOperatorText || strings.ContainsFunc(token, notVisible) {
		return "", fmt.Errorf("%s does not hold a token of %d to %d visible characters; remove it to get a new one",
			path, minOperatorText, maxOperatorText)
	}
	return token, nil
}

func notVisible(r rune) bool { return r <= ' ' || r > '~' }

// createOperatorToken writes a new token beside path and links it there, which
// fails with fs.ErrExist when another process was faster.
func createOperatorToken(path string) error {
	secret := make([]byte, operatorSecret)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), OperatorTokenFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(operatorPrefix + base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
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
