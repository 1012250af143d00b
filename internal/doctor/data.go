package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skein-im/skein/internal/account"
	"github.com/skein-im/skein/internal/node"
)

func (e *exam) dataDirectory() Finding {
	dir, err := filepath.Abs(e.cfg.Data)
	if err != nil {
		return Finding{Level: Fail, Value: err.Error()}
	}
	perm, err := mode(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writable(existing(dir), fmt.Sprintf("%s will be made", dir))
	case err != nil:
		return Finding{Level: Fail, Value: err.Error(), Need: "a directory that this user can use"}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Finding{Level: Fail, Value: dir + " is not a directory", Need: "a directory", Fix: "--data with another path"}
	}
	f := writable(dir, fmt.Sprintf("%s, mode %04o", dir, perm))
	if f.Level == OK && perm&0o077 != 0 {
		f.Level, f.Need, f.Fix = Warn, "mode 0700", "chmod 700 "+dir
		f.Why = "other users of this machine can get at messages and password hashes"
	}
	return f
}

// writable tries to make a file.
func writable(dir, value string) Finding {
	f, err := os.CreateTemp(dir, "skein-doctor-*")
	if err != nil {
		return Finding{
			Level: Fail, Value: value + ", but: " + err.Error(), Need: "a directory that this user can write to",
			Why: "messages are kept there", Fix: fmt.Sprintf("chown the directory to the user that runs Skein, as in: chown -R skein %s", dir),
		}
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	if err != nil {
		return Finding{Level: Fail, Value: err.Error()}
	}
	return Finding{Level: OK, Value: value}
}

// secretFiles looks at the files that let their reader act for the operator,
// or for a gateway.
func (e *exam) secretFiles() []Finding {
	secret := e.cfg.ClusterSecret
	if secret == "" {
		secret = filepath.Join(e.cfg.Data, node.ClusterSecretFile)
	}
	return []Finding{
		secretFile(filepath.Join(e.cfg.Data, account.OperatorTokenFile), "whoever reads it is the operator"),
		secretFile(secret, "whoever reads it can speak as a gateway to the mailbox"),
	}
}

func secretFile(name, why string) Finding {
	perm, err := mode(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{Level: OK, Value: name + " will be made when it is needed"}
	case err != nil:
		return Finding{Level: Fail, Value: err.Error(), Need: "a file that this user can read"}
	case perm&0o077 != 0:
		return Finding{Level: Fail, Value: fmt.Sprintf("%s, mode %04o", name, perm), Need: "mode 0600", Why: why, Fix: "chmod 600 " + name}
	}
	f, err := os.Open(name)
	if err != nil {
		return Finding{Level: Fail, Value: err.Error(), Need: "a file that this user can read", Why: why}
	}
	f.Close()
	return Finding{Level: OK, Value: fmt.Sprintf("%s, mode %04o", name, perm)}
}

// What should be free on the data directory's disk.
const (
	spaceFail = 512 << 20
	spaceWarn = 5 << 30
)

func (e *exam) diskSpace() Finding {
	dir := e.dataOrAbove()
	s, err := e.Space(dir)
	if err != nil {
		return unknown("how much space is left in " + dir)
	}
	f := Finding{
		Level: OK, Value: fmt.Sprintf("%s of %s free", size(int(s.Free)), size(int(s.Total))),
		Need: size(spaceWarn), Why: "when the disk is full, the store takes no more writes until Skein is restarted with space",
	}
	switch {
	case s.Free < spaceFail:
		f.Level, f.Need, f.Fix = Fail, size(spaceFail), "free space, or --data on another disk"
	case s.Volatile:
		f.Level, f.Value, f.Need = Warn, dir+" is in memory", "a disk"
		f.Why, f.Fix = "all messages are gone when the machine restarts", "--data on a disk"
	case s.Free < spaceWarn:
		f.Level, f.Fix = Warn, "free space, or --data on another disk"
	default:
		f.Why = ""
	}
	return f
}

func (e *exam) dataOrAbove() string {
	dir, err := filepath.Abs(e.cfg.Data)
	if err != nil {
		return "."
	}
	return existing(dir)
}

// slowSync is the median sync that is worth a warning: every ack waits for one.
const slowSync = 20 * time.Millisecond

func (e *exam) fsync() Finding {
	dir := e.dataOrAbove()
	took, err := e.Sync(dir)
	if errors.Is(err, fs.ErrPermission) {
		return unknown("how long a sync takes in " + dir + ", where this user cannot write")
	}
	if err != nil || len(took) == 0 {
		return Finding{
			Level: Fail, Value: fmt.Sprintf("cannot write and sync a file in %s: %v", dir, err),
			Need: "a disk that takes writes", Why: "nothing is acknowledged before it is synced", Fix: "repair the disk, or --data on another",
		}
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	f := Finding{
		Level: OK, Value: fmt.Sprintf("median %v, worst of %d %v", round(median), len(took), round(worst)),
		Need: fmt.Sprintf("a median of %v", slowSync),
	}
	if median > slowSync {
		f.Level, f.Fix = Warn, "--data on a faster disk"
		f.Why = "every message is acknowledged after a sync, so none is faster than that"
	}
	return f
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
