package deploy

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// files are those that a pattern matches, of which there must be some.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(list), err)
	}
	return list
}

// load reads settings as a node does, on top of the defaults.
func load(t *testing.T, what, text string) config.Config {
	t.Helper()
	name := filepath.Join(t.TempDir(), "skein.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	err := c.ReadFile(name)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return c
}

// optional are settings, those in comments too.
var optional = regexp.MustCompile(`(?m)^(?:# )?((?:store = "([a-z]+)"|([a-z]+)[a-z_]* = ).*)$`)

// with has all settings of a file, of shared stores only those of one.
func with(store, text string) string {
	return optional.ReplaceAllStringFunc(text, func(line string) string {
		m := optional.FindStringSubmatch(line)
		for _, of := range []string{"redis", "postgres"} {
			if of != store && (m[2] == of || m[3] == of) {
				return ""
			}
		}
		return m[1]
	})
}

// Every settings file is valid, as it is and with the lines in comments, which
// have each shared store.
func TestSettingsFiles(t *testing.T) {
	for _, name := range files(t, "systemd/*.toml") {
		text := read(t, name)
		load(t, name, text)
		for _, store := range []string{config.StoreRedis, config.StorePostgres} {
			c := load(t, name+" with all lines of "+store, with(store, text))
			if c.Store != store && name != "systemd/skein.toml" {
				t.Errorf("%s says nothing of %s", name, store)
			}
		}
	}
}

// Passwords are in files: neither arguments nor the environment have one.
func TestPasswordsAreInFiles(t *testing.T) {
	said := regexp.MustCompile(`(?i)[a-z]+://[^/@\s]*:[^/@\s]*@|(?:password|secret|token)=[^$]|PGPASSWORD|_PASSWORD: `)
	for _, pattern := range []string{"systemd/*", "docker/*.yaml", "docker/Dockerfile", "check/testdata/*.yaml"} {
		for _, name := range files(t, pattern) {
			if found := said.FindString(read(t, name)); found != "" {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
}

// unit is a service by its lines.
type unit struct {
	t    *testing.T
	name string
	keys map[string][]string
}

func readUnit(t *testing.T, name string) *unit {
	u := &unit{t, name, map[string][]string{}}
	lines := bufio.NewScanner(strings.NewReader(read(t, name)))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			u.keys[key] = append(u.keys[key], value)
		}
	}
	return u
}

func (u *unit) one(key string) string {
	u.t.Helper()
	if len(u.keys[key]) != 1 {
		u.t.Fatalf("%s has %d lines of %s", u.name, len(u.keys[key]), key)
	}
	return u.keys[key][0]
}

func (u *unit) number(key string) int {
	u.t.Helper()
	n, err := strconv.Atoi(u.one(key))
	if err != nil {
		u.t.Fatalf("%s: %s: %v", u.name, key, err)
	}
	return n
}

// settings are those of the file that the service names.
func (u *unit) settings() config.Config {
	u.t.Helper()
	m := regexp.MustCompile(`--config /etc/skein/([a-z]+\.toml)$`).FindStringSubmatch(u.one("ExecStart"))
	if m == nil {
		u.t.Fatalf("%s: no settings in %s", u.name, u.one("ExecStart"))
	}
	return load(u.t, m[1], read(u.t, "systemd/"+m[1]))
}

// What a service is given fits its settings.
func TestUnitsFitTheirSettings(t *testing.T) {
	for _, name := range files(t, "systemd/*.service") {
		u := readUnit(t, name)
		c := u.settings()
		if u.number("TimeoutStopSec") < c.DrainSeconds+20 {
			t.Errorf("%s: %d s are too few to drain in %d", name, u.number("TimeoutStopSec"), c.DrainSeconds)
		}
		if c.Data != "/var/lib/"+u.one("StateDirectory") {
			t.Errorf("%s: the data are in %s, the service may write to %s", name, c.Data, u.one("StateDirectory"))
		}
		if float64(u.number("LimitNOFILE"))*0.95 < float64(c.MaxConns+500) {
			t.Errorf("%s: %d files are too few for %d links in one process", name, u.number("LimitNOFILE"), c.MaxConns)
		}
		if u.one("KillMode") != "mixed" || u.one("User") == "root" {
			t.Errorf("%s: kills %s, runs as %s", name, u.one("KillMode"), u.one("User"))
		}
	}
}

// systemd runs systemd-analyze on a unit, with this program in the place of
// Skein.
func systemd(t *testing.T, name string, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(read(t, name), "/usr/local/bin/skein", self)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", append(args, copied)...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// maxExposure is the most that 'systemd-analyze security' may find, in tenths:
// below 2 it says OK.
const maxExposure = "20"

func TestSystemdTakesTheUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("TEST_NEED_SYSTEMD") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no systemd-analyze")
	}
	for _, name := range files(t, "systemd/*.service") {
		systemd(t, name, "verify")
		systemd(t, name, "security", "--offline=true", "--threshold="+maxExposure)
	}
}

// variable is a setting in the environment, in YAML or a Dockerfile.
var variable = regexp.MustCompile(`\b(SKEIN_[A-Z_]+)(?:=|: )(\S+)`)

// What containers get as environment variables are settings.
func TestContainersHaveSettings(t *testing.T) {
	image := variable.FindAllString(read(t, "docker/Dockerfile"), -1)
	if len(image) == 0 {
		t.Fatal("the image has no settings")
	}
	for _, name := range append(files(t, "docker/*.yaml"), "docker/Dockerfile") {
		c := config.Default()
		for _, kv := range append(image, variable.FindAllString(read(t, name), -1)...) {
			if err := c.ReadEnv([]string{strings.Replace(kv, ": ", "=", 1)}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, grace := range regexp.MustCompile(`stop_grace_period: (\d+)s`).FindAllStringSubmatch(read(t, name), -1) {
			if n, _ := strconv.Atoi(grace[1]); n < c.DrainSeconds+20 {
				t.Errorf("%s: %d s are too few to drain in %d", name, n, c.DrainSeconds)
			}
		}
	}
}

// settingsMap is a settings file in a rendered manifest.
var settingsMap = regexp.MustCompile(`(?m)^  skein\.toml: \|\n((?:(?:    .*)?\n)+)`)

// The settings that the chart makes can be read, and pods live long enough to
// drain.
func TestChartMakesSettings(t *testing.T) {
	for _, name := range files(t, "check/testdata/*.yaml") {
		text := read(t, name)
		maps := settingsMap.FindAllStringSubmatch(text, -1)
		if len(maps) == 0 {
			t.Errorf("%s: no settings", name)
		}
		for _, m := range maps {
			c := load(t, name, strings.ReplaceAll(m[1], "\n    ", "\n"))
			for _, grace := range regexp.MustCompile(`terminationGracePeriodSeconds: (\d+)`).FindAllStringSubmatch(text, -1) {
				if n, _ := strconv.Atoi(grace[1]); n < c.DrainSeconds+20 {
					t.Errorf("%s: %d s are too few to drain in %d", name, n, c.DrainSeconds)
				}
			}
		}
	}
}

// Commands and flags in all these files exist; cmd/skein has them.
func TestCommandsExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range files(t, "../cmd/skein/*.go") {
		for _, use := range regexp.MustCompile(`Use: +"([a-z-]+)`).FindAllStringSubmatch(read(t, name), -1) {
			known[use[1]] = true
		}
	}
	used := regexp.MustCompile(`(?:bin/skein |args: \["|"/skein", "|command: \[|CMD \[")([a-z]+)`)
	n := 0
	for _, pattern := range []string{"systemd/*.service", "docker/*", "check/testdata/*.yaml"} {
		for _, name := range files(t, pattern) {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue
			}
			for _, m := range used.FindAllStringSubmatch(read(t, name), -1) {
				if n++; !known[m[1]] {
					t.Errorf("%s: there is no 'skein %s'", name, m[1])
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("found only %d commands", n)
	}
}
