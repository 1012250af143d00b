package pebble

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/storetest"
)

// writtenDisk is a disk with a store that was written and closed.
func writtenDisk(t *testing.T, seed uint64, batches int) (*vfs.MemFS, *progress) {
	t.Helper()
	mem, p := vfs.NewCrashableMem(), newProgress(crashOwners)
	s := mustOpen(t, "data", Options{FS: mem, tune: func(o *pebbledb.Options) {
		small(o)
		o.MaxManifestFileSize = 1 << 20 // one manifest, many edits
	}})
	if err := errors.Join(write(s, storetest.AcquireAll(t, s), seed, make([]int, crashOwners), batches, p)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem, p
}

// readAll and writeAll are a whole file.
func readAll(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeAll(t testing.TB, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// damages are what can happen to a file; nil: it is gone.
var damages = map[string]func(rng *rand.Rand, data []byte) []byte{
	"flip a bit": func(rng *rand.Rand, data []byte) []byte {
		data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		return data
	},
	"zero a range": func(rng *rand.Rand, data []byte) []byte {
		from := rng.IntN(len(data))
		clear(data[from:min(len(data), from+1+rng.IntN(200))])
		return data
	},
	"truncate": func(rng *rand.Rand, data []byte) []byte { return data[:rng.IntN(len(data))] },
	"garbage": func(rng *rand.Rand, data []byte) []byte {
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		return data
	},
	"append garbage": func(rng *rand.Rand, data []byte) []byte {
		for range 1 + rng.IntN(100) {
			data = append(data, byte(rng.Uint32()))
		}
		return data
	},
	"remove": func(*rand.Rand, []byte) []byte { return nil },
}

// TestDamage damages every file of a store, one at a time. Either the damage
// is noticed, when opening or reading, or it does no harm; nothing panics. But
// what ends early looks like the work of a crash: then the newest batches may
// be missing, and everything else must be right.
func TestDamage(t *testing.T) {
	mem, p := writtenDisk(t, 1, 60)
	names, err := mem.List("data")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for _, name := range names {
		for damage, f := range damages {
			for round := range 3 * *rounds {
				disk := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
				path := "data/" + name
				data := readAll(t, disk, path)
				if len(data) == 0 && damage != "append garbage" && damage != "remove" {
					continue
				}
				if data = f(rand.New(rand.NewPCG(uint64(round), uint64(len(damage)))), data); data != nil {
					writeAll(t, disk, path, data)
				} else if err := disk.Remove(path); err != nil {
					t.Fatal(err)
				}
				outcome, err := checkDamaged(disk, p, name)
				if err != nil {
					t.Errorf("%s of %s, round %d: %v", damage, name, round, err)
				}
				outcomes[outcome]++
			}
		}
	}
	t.Log(outcomes)
	for _, outcome := range []string{"noticed at open", "noticed at read", "harmless"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no damage was %s", outcome)
		}
	}
}

// checkDamaged opens a store with a damaged file and reads all of it.
func checkDamaged(disk vfs.FS, p *progress, name string) (outcome string, err error) {
	s, err := Open("data", Options{FS: disk, Logger: quiet(), tune: small})
	if errors.Is(err, store.ErrCorrupt) || name == formatFile && errors.Is(err, store.ErrNewer) {
		return "noticed at open", nil
	}
	if err != nil {
		return "", fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	_, err = verify(s, 1, values(p.acked), values(p.begun))
	if errors.Is(err, errLost) && strings.HasSuffix(name, ".log") {
		if _, err = verify(s, 1, make([]int, crashOwners), values(p.begun)); err == nil {
			return "like a crash", nil
		}
	}
	if errors.Is(err, store.ErrCorrupt) {
		return "noticed at read", nil
	}
	return "harmless", err
}

// TestManifestDamage damages every record of a manifest but the last, in which
// damage is taken for the work of a crash: a store that would open in an old
// state must not open.
func TestManifestDamage(t *testing.T) {
	mem, _ := writtenDisk(t, 1, 60)
	desc, err := pebbledb.Peek("data", mem)
	if err != nil {
		t.Fatal(err)
	}
	manifest := readAll(t, mem, desc.ManifestFilename)
	if at := damagedAt(manifest); at >= 0 {
		t.Fatalf("an undamaged manifest is taken for damaged at byte %d", at)
	}
	var starts []int
	for pos := 0; pos < len(manifest); pos += chunkAt(manifest, pos, chunkLast) {
		starts = append(starts, pos)
	}
	if len(starts) < 5 || len(manifest) > manifestBlock {
		t.Fatalf("the manifest has %d records in %d bytes", len(starts), len(manifest))
	}
	last := starts[len(starts)-1]
	for pos := range last {
		manifest[pos] ^= 0x10
		at := damagedAt(manifest)
		manifest[pos] ^= 0x10
		if at < 0 || at > pos || pos-at > last {
			t.Fatalf("damage of byte %d was located at %d", pos, at)
		}
	}
	for cut := range manifest {
		if at := damagedAt(manifest[:cut]); at >= 0 {
			t.Fatalf("a manifest that ends after %d bytes is taken for damaged at byte %d", cut, at)
		}
	}
	manifest[starts[1]+manifestHeader] ^= 1
	writeAll(t, mem, desc.ManifestFilename, manifest)
	if _, err := Open("data", Options{FS: mem, Logger: quiet(), tune: small}); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte("\x01\x02\x03\x04\x00\x00\x01\x01\x02\x03\x04\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if at := damagedAt(data); at >= len(data) {
			t.Fatalf("damage at %d of %d bytes", at, len(data))
		}
	})
}
