package account

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/skein-im/skein/internal/im"
)

// reference was computed by the reference implementation's command line tool:
// argon2id, t=2, m=2^16 KiB, p=1, password "password", salt "somesalt".
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestVerifyAgreesWithReferenceImplementation(t *testing.T) {
	h := newTestHasher(t, HasherConfig{Concurrent: 1})
	for password, want := range map[string]bool{"password": true, "passwore": false} {
		got, err := h.Verify(t.Context(), password, reference)
		if err != nil || got != want {
			t.Errorf("Verify(%q) = %v, %v, want %v", password, got, err, want)
		}
	}
}

func TestHashHasDocumentedForm(t *testing.T) {
	cfg := DefaultHasherConfig()
	cfg.Rand = bytes.NewReader(bytes.Repeat([]byte{7}, 64))
	h, err := NewHasher(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$") {
		t.Errorf("hash %q", got)
	}
	if ok, err := h.Verify(t.Context(), "correct horse", got); !ok || err != nil {
		t.Errorf("Verify = %v, %v", ok, err)
	}
}

func TestHashUsesNewSalts(t *testing.T) {
	h := newTestHasher(t, HasherConfig{Concurrent: 1})
	a, _ := h.Hash(t.Context(), "correct horse")
	b, _ := h.Hash(t.Context(), "correct horse")
	if a == b || a == "" {
		t.Errorf("two hashes of one password: %q and %q", a, b)
	}
}

func TestHashFailsWithoutRandomness(t *testing.T) {
	h, err := NewHasher(HasherConfig{Params: cheap, Concurrent: 1, Rand: bytes.NewReader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hash(t.Context(), "correct horse"); im.KindOf(err) != im.Internal {
		t.Errorf("Hash: %v, want an internal error", err)
	}
}

func TestParsePHCRefuses(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, s := range map[string]string{
		"empty":             "",
		"other algorithm":   "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + key,
		"other version":     "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + key,
		"too much memory":   "$argon2id$v=19$m=65537,t=2,p=1$" + salt + "$" + key,
		"too little memory": "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + key,
		"too many passes":   "$argon2id$v=19$m=65536,t=11,p=1$" + salt + "$" + key,
		"no passes":         "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + key,
		"too many lanes":    "$argon2id$v=19$m=65536,t=2,p=5$" + salt + "$" + key,
		"lanes wrap around": "$argon2id$v=19$m=65536,t=2,p=257$" + salt + "$" + key,
		"no lanes":          "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + key,
		"leading zero":      "$argon2id$v=19$m=065536,t=2,p=1$" + salt + "$" + key,
		"sign":              "$argon2id$v=19$m=+65536,t=2,p=1$" + salt + "$" + key,
		"other order":       "$argon2id$v=19$t=2,m=65536,p=1$" + salt + "$" + key,
		"further parameter": "$argon2id$v=19$m=65536,t=2,p=1,x=1$" + salt + "$" + key,
		"short salt":        "$argon2id$v=19$m=65536,t=2,p=1$c29tZQ$" + key,
		"short key":         "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$CTFhFdXPJO0",
		"padding":           "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "=$" + key,
		"line break":        "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "\n$" + key,
		"loose bits":        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHR$" + key,
		"further part":      "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + key + "$",
		"too long":          "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + strings.Repeat("A", 300),
	} {
		if h, err := parsePHC(s); err == nil {
			t.Errorf("%s: parsed as %v", name, h)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(reference)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePHC(s)
		if err != nil {
			return
		}
		if got := h.String(); got != s {
			t.Errorf("%q was read as %q", s, got)
		}
		if h.params.check() != nil || len(h.salt) > maxSalt || len(h.key) > maxKey {
			t.Errorf("%q is beyond the bounds", s)
		}
	})
}

func TestVerifyHidesStoredHash(t *testing.T) {
	h := newTestHasher(t, HasherConfig{Concurrent: 1})
	_, err := h.Verify(t.Context(), "password", "$argon2id$v=19$sesame")
	if im.KindOf(err) != im.Internal || strings.Contains(err.Error(), "sesame") {
		t.Errorf("Verify of a damaged hash: %v", err)
	}
}

// fill takes all turns and waiting places of a hasher and returns what frees
// them. It must run in a synctest bubble.
func fill(t *testing.T, h *Hasher, waiting int) (free func()) {
	t.Helper()
	if err := h.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range waiting {
		go func() {
			if err := h.enter(context.Background()); err == nil {
				h.leave()
			}
		}()
	}
	synctest.Wait()
	return h.leave
}

func TestHasherRefusesWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHasher(t, HasherConfig{Concurrent: 1, Waiting: 2})
		free := fill(t, h, 2)
		if running, callers, _ := h.Load(); running != 1 || callers != 3 {
			t.Errorf("Load() = %d, %d, want 1, 3", running, callers)
		}
		_, err := h.Hash(t.Context(), "password")
		var e *im.Error
		if !errors.As(err, &e) || e.Kind != im.Busy || e.RetryAfterMS == 0 {
			t.Errorf("Hash in a full queue: %v, want busy with a time to come back", err)
		}
		if err := h.VerifyNobody(t.Context(), "password"); im.KindOf(err) != im.Busy {
			t.Errorf("VerifyNobody in a full queue: %v, want busy", err)
		}
		free()
		synctest.Wait()
		if running, callers, _ := h.Load(); running != 0 || callers != 0 {
			t.Errorf("Load() = %d, %d afterwards", running, callers)
		}
	})
}

func TestHasherWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHasher(t, HasherConfig{Concurrent: 1, Waiting: 1})
		free := fill(t, h, 0)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := h.Verify(ctx, "password", reference)
			result <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-result; im.KindOf(err) != im.Unavailable || !errors.Is(err, context.Canceled) {
			t.Errorf("a waiter that gave up got %v", err)
		}
		if _, callers, _ := h.Load(); callers != 1 {
			t.Errorf("%d callers, want the one that holds the turn", callers)
		}
		free()
	})
}

func TestNewHasherChecksConfig(t *testing.T) {
	for name, cfg := range map[string]HasherConfig{
		"no randomness":  {Params: cheap, Concurrent: 1},
		"too expensive":  {Params: Params{MemoryKiB: 1 << 20, Passes: 1, Lanes: 1}, Concurrent: 1, Rand: strings.NewReader("")},
		"no turn":        {Params: cheap, Rand: strings.NewReader("")},
		"negative queue": {Params: cheap, Concurrent: 1, Waiting: -1, Rand: strings.NewReader("")},
	} {
		if _, err := NewHasher(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
