package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const docker = "../docker"

func project(t *testing.T, name string) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(docker)
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, name)}}, Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

func TestCompose(t *testing.T) {
	for name, services := range map[string][]string{
		"compose.yaml":          {"skein"},
		"compose.split.yaml":    {"gateway", "mailbox", "redis", "router"},
		"compose.postgres.yaml": {"gateway", "mailbox", "postgres", "router"},
		"compose.regions.yaml": {"east-gateway", "east-mailbox", "east-redis", "east-relay", "east-standby",
			"west-gateway", "west-mailbox", "west-redis", "west-relay"},
	} {
		p := project(t, name)
		if got := p.ServiceNames(); !slices.Equal(got, services) {
			t.Errorf("%s: services %v", name, got)
		}
		for _, s := range p.Services {
			checkService(t, name, p, &s)
		}
	}
}

// checkService: nothing is published beyond this machine, secrets are where the
// settings say, and what is built here can be built.
func checkService(t *testing.T, file string, p *types.Project, s *types.ServiceConfig) {
	t.Helper()
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("%s: %s publishes %s at %q", file, s.Name, port.Published, port.HostIP)
		}
	}
	for _, given := range s.Secrets {
		if _, ok := p.Secrets[given.Source]; !ok {
			t.Errorf("%s: %s is given a secret %s that nobody has", file, s.Name, given.Source)
		}
	}
	for key, value := range s.Environment {
		at, ok := strings.CutPrefix(*value, "/run/secrets/")
		if ok && !slices.ContainsFunc(s.Secrets, func(c types.ServiceSecretConfig) bool { return c.Source == at }) {
			t.Errorf("%s: %s: there is no file for %s", file, s.Name, key)
		}
	}
	if s.Build == nil {
		return
	}
	if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
		t.Errorf("%s: %s: %v", file, s.Name, err)
	}
	if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.StopGracePeriod == nil {
		t.Errorf("%s: %s is not confined, or killed too soon", file, s.Name)
	}
}

func TestDockerfile(t *testing.T) {
	f, err := os.Open(filepath.Join(docker, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Warnings) > 0 || len(stages) != 2 || stages[1].BaseName != "scratch" {
		t.Fatalf("%d stages, the last from %q; warnings %v", len(stages), stages[len(stages)-1].BaseName, parsed.Warnings)
	}
	user, healthy := "root", false
	for _, c := range stages[1].Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			// There is no shell in the image.
			healthy = slices.Equal(c.Health.Test, []string{"CMD", "/skein", "health"})
		case *instructions.CopyCommand:
			if c.From != "" && c.From != stages[0].Name {
				t.Errorf("nothing is named %q", c.From)
			}
		case *instructions.RunCommand:
			t.Errorf("nothing can be run in the image: %v", c.CmdLine)
		}
	}
	if user == "root" || strings.HasPrefix(user, "0:") || !healthy {
		t.Errorf("it runs as %s, health check %v", user, healthy)
	}
}
