package releases

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Release is one earlier release.
type Release struct {
	Name string
	dir  string
}

// Facts are what was true when a release's stores were closed.
type Facts struct {
	Users []User `json:"users"`
	// Secret of the role link, in hexadecimal digits.
	Secret string `json:"secret"`
	// Unheard is a send that was acknowledged, but its device does not know.
	Unheard Unheard `json:"unheard"`
	// Unopened is an envelope to the second user, and what is in it.
	Unopened Envelope `json:"unopened"`
}

// User is one of the users.
type User struct {
	Name string `json:"name"`
	ID   uint64 `json:"id"`
	// Tokens of the devices. The second device has stored what comes up to
	// Cursor.
	Tokens  []string `json:"tokens"`
	Cursor  uint64   `json:"cursor"`
	Balance int64    `json:"balance"`
	// Timeline is every entry as the client package has it, from the first.
	Timeline []json.RawMessage `json:"timeline"`
}

// Unheard is a send of the first user's second device to the second user.
type Unheard struct {
	ClientSeq uint64 `json:"client_seq"`
	Seq       uint64 `json:"seq"`
	Text      string `json:"text"`
}

// Envelope is one that waits to be opened.
type Envelope struct {
	ID    uint64 `json:"id"`
	Cents int64  `json:"cents"`
}

// All lists the releases in testdata, where root is the repository's.
func All(root string) ([]Release, error) {
	dir := filepath.Join(root, "testdata", "releases")
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Release
	for _, n := range names {
		all = append(all, Release{n.Name(), filepath.Join(dir, n.Name())})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no releases in %s", dir)
	}
	return all, nil
}

// Each runs a test for every release that has left something; name is that of a file,
// without its ending.
func Each(t *testing.T, root, name string, test func(t *testing.T, r Release)) {
	t.Helper()
	all, err := All(root)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range all {
		if r.Has(name) {
			found = true
			t.Run(r.Name, func(t *testing.T) { test(t, r) })
		}
	}
	if !found {
		t.Fatalf("no release has left %s", name)
	}
}

// Facts reads what was true.
func (r Release) Facts() (Facts, error) { return r.facts("facts.json") }

// NodesFacts reads what was true of the nodes over Redis.
func (r Release) NodesFacts() (Facts, error) { return r.facts("nodes.json") }

// PostgresFacts reads what was true of the nodes over PostgreSQL.
func (r Release) PostgresFacts() (Facts, error) { return r.facts("postgres.json") }

func (r Release) facts(name string) (f Facts, err error) {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(b, &f)
}

// Has reports whether the release has left something: what came later is not in
// those that were before.
func (r Release) Has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name+".gz"))
	return err == nil
}

// JSON reads what is kept as JSON.
func (r Release) JSON(name string, into any) error {
	b, err := r.unpack(name + ".gz")
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// Stream reads one direction of a link, such as link-up or link-down.
func (r Release) Stream(name string) ([]byte, error) { return r.unpack(name + ".gz") }

// Statements reads those that make a schema of PostgreSQL with all that is in it.
func (r Release) Statements(name string) ([]byte, error) { return r.unpack(name + ".gz") }

// Walk goes through both directions of a link, such as relay: take gets what is left
// of one, and says how many bytes the first frame of it has.
func (r Release) Walk(link string, take func(rest []byte) (n int, err error)) error {
	for _, direction := range []string{link + "-up", link + "-down"} {
		rest, err := r.Stream(direction)
		if err != nil {
			return err
		}
		for len(rest) > 0 {
			n, err := take(rest)
			if err != nil || n == 0 {
				return fmt.Errorf("%s ends with half a frame: %v", direction, err)
			}
			rest = rest[n:]
		}
	}
	return nil
}

// Schema reads what the release knew of the protocol.
func (r Release) Schema() (*protoregistry.Files, error) {
	b, err := r.unpack("schema.gz")
	if err != nil {
		return nil, err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(b, set); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(set)
}

func (r Release) unpack(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(z)
}

// Restore makes a copy of a data directory, stopped or killed.
func (r Release) Restore(name, to string) error {
	b, err := r.unpack(name + ".tar.gz")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	return errors.Join(restore(tar.NewReader(bytes.NewReader(b)), root), root.Close())
}

func restore(t *tar.Reader, root *os.Root) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			if err := root.MkdirAll(h.Name, 0o700); err != nil {
				return err
			}
			continue
		}
		b, err := io.ReadAll(t)
		if err == nil {
			err = root.WriteFile(h.Name, b, 0o600)
		}
		if err != nil {
			return err
		}
	}
}
