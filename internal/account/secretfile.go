package account

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Secrets in files are this many random bytes when they are made here, and may
// be this long when they come from elsewhere.
const (
	fileSecret    = 32
	minSecretText = 24
	maxSecretText = 256
)

// LoadOrCreateSecret returns the secret in a file and makes one, beginning with
// prefix, when there is none. The file is only readable by its owner, and never
// there half written: of two processes that create it at the same time both
// return the same secret.
func LoadOrCreateSecret(path, prefix string) (string, error) {
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := createSecret(path, prefix); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("cannot create %s: %w; make its directory, or copy the file there", path, err)
	}
	return readSecret(path)
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretText+2))
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if len(secret) < minSecretText || len(secret) > maxSecretText || strings.ContainsFunc(secret, notVisible) {
		return "", fmt.Errorf("%s does not hold a secret of %d to %d visible characters; remove it to get a new one",
			path, minSecretText, maxSecretText)
	}
	return secret, nil
}

func notVisible(r rune) bool { return r <= ' ' || r > '~' }

// createSecret writes a new secret beside path and links it there, which fails
// with fs.ErrExist when another process was faster.
func createSecret(path, prefix string) error {
	secret := make([]byte, fileSecret)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(prefix + base64.RawURLEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
