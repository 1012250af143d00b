package account

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skein-im/skein/internal/im"
)

func TestTokenRoundTrip(t *testing.T) {
	secret, err := NewSecret(strings.NewReader("abcdefghijklmnopqrstuvwxyz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user   im.UserID
		device im.DeviceID
	}{{1, 1}, {127, 128}, {im.FirstRegisteredUser, 64}, {im.MaxUser, math.MaxUint32}} {
		token := Token(c.user, c.device, secret)
		user, device, hash, err := ParseToken(token)
		if err != nil || user != c.user || device != c.device || hash != secret.Hash() {
			t.Errorf("ParseToken(%q) = %d, %d, %x, %v", token, user, device, hash, err)
		}
	}
}

func TestTokenGolden(t *testing.T) {
	secret, _ := NewSecret(strings.NewReader("abcdefghijklmnopqrst"))
	if got, want := Token(300, 2, secret), "sk_rAICYWJjZGVmZ2hpamtsbW5vcHFyc3Q"; got != want {
		t.Errorf("Token = %q, want %q", got, want)
	}
	if secret.Hash() != sha256.Sum256([]byte("abcdefghijklmnopqrst")) {
		t.Error("the hash is not the SHA-256 of the secret")
	}
}

func encode(raw string) string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(raw))
}

func TestParseTokenRefuses(t *testing.T) {
	secret := strings.Repeat("s", SecretSize)
	good := encode("\x01\x01" + secret)
	if _, _, _, err := ParseToken(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, text := range map[string]string{
		"empty":              "",
		"prefix only":        tokenPrefix,
		"other prefix":       "op_" + good[3:],
		"short secret":       encode("\x01\x01" + secret[1:]),
		"long secret":        encode("\x01\x01" + secret + "s"),
		"user 0":             encode("\x00\x01" + secret),
		"device 0":           encode("\x01\x00" + secret),
		"longer user number": encode("\x81\x00\x01" + secret),
		"user beyond 2^53":   encode("\x80\x80\x80\x80\x80\x80\x80\x10\x01" + secret),
		"device beyond 2^32": encode("\x01\x80\x80\x80\x80\x10" + secret),
		"unfinished number":  encode("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80" + secret[:10]),
		"padding":            good + "=",
		"line break":         good[:10] + "\n" + good[10:],
		"space":              good + " ",
		"standard alphabet":  tokenPrefix + base64.RawStdEncoding.EncodeToString([]byte("\x01\x01"+strings.Repeat("\xff", SecretSize))),
		"loose bits":         good[:len(good)-1] + "9",
		"very long":          good + strings.Repeat("A", 1<<20),
	} {
		_, _, _, err := ParseToken(text)
		if im.KindOf(err) != im.Unauthenticated {
			t.Errorf("%s: %v, want unauthenticated", name, err)
		}
		if err != nil && len(text) > 5 && strings.Contains(err.Error(), text[3:]) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("sk_rAICYWJjZGVmZ2hpamtsbW5vcHFyc3Q")
	f.Add("sk_" + strings.Repeat("_", 44))
	f.Fuzz(func(t *testing.T, text string) {
		user, device, _, err := ParseToken(text)
		if err != nil {
			return
		}
		if user == 0 || user > im.MaxUser || device == 0 {
			t.Fatalf("%q: user %d device %d", text, user, device)
		}
		raw, err := base64.RawURLEncoding.DecodeString(text[3:])
		if err != nil {
			t.Fatal(err)
		}
		if again := Token(user, device, Secret(raw[len(raw)-SecretSize:])); again != text {
			t.Errorf("%q and %q are the same token", text, again)
		}
	})
}

func BenchmarkParseToken(b *testing.B) {
	token := Token(im.FirstRegisteredUser+1, 1, Secret{1, 2, 3})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := ParseToken(token); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseTokenDoesNotAllocate(t *testing.T) {
	token := Token(im.FirstRegisteredUser+1, 1, Secret{1, 2, 3})
	if n := testing.AllocsPerRun(100, func() { ParseToken(token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSecretDoesNotPrint(t *testing.T) {
	secret := Secret([]byte("sesamsesamsesamsesam"))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", secret, "b", &secret, "c", []any{secret})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", secret)
	printed := log.String()
	for _, format := range []string{"%v", "%s", "%x", "%+v", "%#v", "%d", "%q"} {
		printed += fmt.Sprintf(format, secret) + fmt.Sprintf(format, struct{ S Secret }{secret})
	}
	for _, leak := range []string{"sesam", "736573616d", "c2VzYW", "115,101", "115 101", "0x73"} {
		if strings.Contains(printed, leak) {
			t.Errorf("%q is in what was printed: %s", leak, printed)
		}
	}
}

func TestOperatorTokenIsCreatedOnce(t *testing.T) {
	dir := t.TempDir()
	tokens := make([]string, 8)
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() {
			token, err := LoadOrCreateOperatorToken(dir)
			if err != nil {
				t.Error(err)
			}
			tokens[i] = token
		})
	}
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] || !strings.HasPrefix(token, "op_") {
			t.Errorf("tokens %q and %q", tokens[0], token)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v, want the token alone", files, err)
	}
	info, err := files[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 || info.Name() != OperatorTokenFile {
		t.Errorf("%v has mode %v, %v", info.Name(), info.Mode(), err)
	}
}

func TestOperatorTokenMustBeOne(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "short": "op_123\n", "two lines": strings.Repeat("a", 30) + "\nb",
		"long": strings.Repeat("a", maxSecretText+1), "control": strings.Repeat("a", 30) + "\x00",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, OperatorTokenFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := LoadOrCreateOperatorToken(dir)
		if err == nil {
			t.Errorf("%s: accepted as %q", name, token)
		} else if content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

func TestOperatorTokenNeedsDirectory(t *testing.T) {
	if _, err := LoadOrCreateOperatorToken(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a token in a directory that is not there")
	}
}

func TestOperatorMatch(t *testing.T) {
	o := NewOperator("op_sesame")
	for token, want := range map[string]bool{"op_sesame": true, "op_sesam": false, "": false} {
		if o.Match(token) != want {
			t.Errorf("Match(%q) = %v", token, !want)
		}
	}
	if NewOperator("").Match("") || (Operator{}).Match("") {
		t.Error("an operator without token recognizes somebody")
	}
}
