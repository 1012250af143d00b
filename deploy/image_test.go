package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// builder is buildah with a storage of its own.
type builder struct {
	t       *testing.T
	dir     string
	storage []string
}

// newBuilder skips the test where images cannot be built.
func newBuilder(t *testing.T) *builder {
	t.Helper()
	if testing.Short() {
		t.Skip("building an image takes half a minute")
	}
	if _, err := exec.LookPath("buildah"); err != nil || os.Geteuid() != 0 {
		t.Skip("there is no buildah that may change its root")
	}
	b := &builder{t: t, dir: t.TempDir()}
	b.storage = []string{"--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "run"), "--storage-driver", "vfs"}
	policy := `{"default":[{"type":"insecureAcceptAnything"}]}`
	if err := os.WriteFile(b.policy(), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *builder) policy() string { return filepath.Join(b.dir, "policy.json") }

func (b *builder) command(args ...string) *exec.Cmd {
	return exec.CommandContext(b.t.Context(), "buildah", append(b.storage, args...)...)
}

// do runs buildah and gives the last line of what it says.
func (b *builder) do(args ...string) string {
	b.t.Helper()
	var said, complained bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("buildah %s: %v\n%s%s", strings.Join(args, " "), err, &said, &complained)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	return lines[len(lines)-1]
}

// compilerImage stands in for the image that the Dockerfile begins with: there is
// no registry here. It has this machine's shell, and mounts its Go.
func (b *builder) compilerImage(name string) {
	b.t.Helper()
	c := b.do("from", "scratch")
	root := b.do("mount", c)
	for _, dir := range []string{"bin", "tmp", "root", "go", "usr/local/go", "etc/ssl/certs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
	b.copyFile("/etc/ssl/certs/ca-certificates.crt", root)
	for _, program := range []string{"/bin/sh", "/bin/mkdir"} {
		b.copyFile(program, root)
		libraries, err := exec.CommandContext(b.t.Context(), "ldd", program).Output()
		if err != nil {
			b.t.Fatalf("ldd %s: %v", program, err)
		}
		for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
			b.copyFile(library, root)
		}
	}
	b.do("config", "--env", "PATH=/usr/local/go/bin:/bin", "--env", "HOME=/root", "--env", "GOPATH=/go", c)
	b.do("commit", "--quiet", "--signature-policy", b.policy(), "--rm", c, name)
}

// copyFile puts a file of this machine at the same place below root.
func (b *builder) copyFile(name, root string) {
	b.t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, name), text, 0o755)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestImage builds the image as the Dockerfile says, from a stand-in for the
// compiler's, and runs it as it says: it serves, is healthy by its own health
// check, and drains.
func TestImage(t *testing.T) {
	b := newBuilder(t)
	base := regexp.MustCompile(`(?m)^FROM (\S+) AS build$`).FindStringSubmatch(read(t, "docker/Dockerfile"))
	if base == nil {
		t.Fatal("the Dockerfile has no stage that builds")
	}
	b.compilerImage("docker.io/library/" + base[1])
	b.do("build", "--quiet", "--isolation", "chroot", "--pull-never", "--format", "docker", "--signature-policy", b.policy(),
		"--volume", goEnv(t, "GOROOT")+":/usr/local/go:ro", "--volume", goEnv(t, "GOMODCACHE")+":/go/pkg/mod",
		"--volume", goEnv(t, "GOCACHE")+":/root/.cache/go-build", "--build-arg", "VERSION=of-the-image",
		"--file", "docker/Dockerfile", "--tag", "skein", "..")
	image := b.inspect("localhost/skein")
	// With fewer files it would start workers.
	c := b.do("from", "--pull-never", "--ulimit", "nofile=20000:20000", "--signature-policy", b.policy(), "localhost/skein")
	b.contents(b.do("mount", c))
	data := t.TempDir()
	if err := os.Chown(data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", "--isolation", "chroot", "--volume", data + ":/var/lib/skein"}
	// Other ports, since those of this machine are its own.
	for _, name := range []string{"SKEIN_HTTP", "SKEIN_LINK", "SKEIN_OPS"} {
		run = append(run, "--env", name+"=127.0.0.1:0")
	}
	run = append(run, c, "--")
	if v := b.do(append(run, append(image.Entrypoint, "version")...)...); v != "skein of-the-image" {
		t.Errorf("it says it is %q", v)
	}
	server := b.command(append(append(run, append(image.Entrypoint, image.Cmd...)...), "--json")...)
	ops := startImage(t, server)
	health := append(image.Healthcheck.Test[1:], "--ops", ops)
	if said := b.do(append(run, health...)...); said != "ok" {
		t.Errorf("its health check says %q", said)
	}
	b.do(append(run, append(image.Entrypoint, "drain", ops, "--token-file", "/var/lib/skein/operator.token")...)...)
	if err := server.Wait(); err != nil {
		t.Errorf("after it was drained: %v", err)
	}
}

// imageConfig is what an image says of how it is to be run.
type imageConfig struct {
	User            string
	Entrypoint, Cmd []string
	Healthcheck     struct{ Test []string }
}

func (b *builder) inspect(image string) imageConfig {
	b.t.Helper()
	var all struct {
		Docker struct {
			Config imageConfig `json:"config"`
		}
	}
	out, err := b.command("inspect", image).Output()
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	c := all.Docker.Config
	if err != nil || c.User != "65532:65532" || len(c.Entrypoint) != 1 || len(c.Cmd) != 1 || len(c.Healthcheck.Test) < 2 {
		b.t.Fatalf("the image is %+v, %v", c, err)
	}
	return c
}

// contents are the program, certificates, and where the volume goes.
func (b *builder) contents(root string) {
	b.t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(name, root))
		}
		return err
	})
	if err != nil || strings.Join(files, " ") != "/etc/ssl/certs/ca-certificates.crt /skein" {
		b.t.Errorf("the image has %v, %v", files, err)
	}
}

// startImage starts the server and registers a user there. It gives the address
// of operations.
func startImage(t *testing.T, server *exec.Cmd) string {
	t.Helper()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = t.Output()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var at struct{ HTTP, Ops string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		t.Fatalf("it printed %q: %v", line, err)
	}
	body := strings.NewReader(`{"name":"carol","password":"correct horse"}`)
	res, err := http.Post("http://"+at.HTTP+"/skein.v1.AccountService/Register", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("registering answered %s", res.Status)
	}
	return at.Ops
}
