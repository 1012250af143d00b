package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/skein-im/skein/"

// layers order the packages: a package imports only from layers below its
// own. Test files and test-only packages are free.
var layers = [][]string{
	{"internal/im", "internal/child", "internal/freeport", "gen", "docs", "web/admin"},
	{"internal/accept", "internal/capacity", "internal/config", "internal/telemetry", "internal/trace", "internal/wire", "internal/evloop", "internal/sched", "internal/series", "internal/samplelog", "internal/report"},
	{"internal/entity", "internal/store", "internal/link", "internal/admit", "internal/clientcore"},
	{"internal/store/pebble", "internal/store/redis", "internal/store/postgres", "internal/shard", "internal/remote", "internal/supervise", "internal/cluster", "internal/audit", "internal/standby", "client"},
	{"internal/account", "internal/route", "internal/gateway", "internal/shake", "internal/mailbox", "internal/relay", "internal/region", "internal/router", "internal/monitor"},
	{"internal/api", "internal/bench", "internal/uplink"},
	{"internal/api/article", "internal/api/openapi"},
	{"internal/node"},
	{"internal/doctor"},
	{"cmd"},
}

// testOnly packages may import what they test, and nothing else imports them.
var testOnly = []string{"internal/sim", "internal/archtest", "internal/store/storetest", "internal/store/memstore", "internal/account/fakemailbox", "internal/releases", "internal/patience", "e2e", "deploy"}

// roles never import each other.
var roles = []string{"internal/gateway", "internal/shake", "internal/mailbox", "internal/relay", "internal/router", "internal/monitor"}

func under(pkg string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

// layerOf is the layer with the longest matching prefix.
func layerOf(pkg string) int {
	best, length := -1, 0
	for i, l := range layers {
		for _, p := range l {
			if (pkg == p || strings.HasPrefix(pkg, p+"/")) && len(p) > length {
				best, length = i, len(p)
			}
		}
	}
	return best
}

type goFile struct {
	path, pkg string
	ast       *ast.File
	lines     int
}

func parseTree(t *testing.T) []goFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (strings.HasPrefix(rel, ".") && rel != "." || d.Name() == "node_modules" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(rel, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, goFile{rel, filepath.ToSlash(filepath.Dir(rel)), f, strings.Count(string(src), "\n")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files; is the root right?", len(files))
	}
	return files
}

func TestImportsGoOneWay(t *testing.T) {
	for _, f := range parseTree(t) {
		if strings.HasSuffix(f.path, "_test.go") || under(f.pkg, testOnly) || under(f.pkg, []string{"gen"}) {
			continue
		}
		own := layerOf(f.pkg)
		if own < 0 {
			t.Errorf("%s: package %s is in no layer; add it to layers", f.path, f.pkg)
			continue
		}
		for _, imp := range f.ast.Imports {
			dep, ok := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module)
			if !ok || dep == f.pkg || strings.HasPrefix(dep, f.pkg+"/") {
				continue
			}
			switch {
			case under(dep, testOnly):
				t.Errorf("%s imports %s, which is for tests", f.path, dep)
			case under(f.pkg, roles) && under(dep, roles):
				t.Errorf("%s imports %s: roles hold im interfaces, not each other", f.path, dep)
			case layerOf(dep) >= own && !strings.HasPrefix(f.pkg, dep+"/"):
				t.Errorf("%s imports %s, which is not below it", f.path, dep)
			}
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	docs := map[string]bool{}
	for _, f := range parseTree(t) {
		if strings.HasSuffix(f.path, "_test.go") || strings.HasPrefix(f.pkg, "gen/") {
			continue
		}
		docs[f.pkg] = docs[f.pkg] || f.ast.Doc != nil && len(f.ast.Doc.Text()) > 80
	}
	for pkg, ok := range docs {
		if !ok {
			t.Errorf("package %s has no package comment worth the name", pkg)
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	const most = 500
	for _, f := range parseTree(t) {
		if !strings.HasPrefix(f.pkg, "gen/") && !strings.HasSuffix(f.path, "_test.go") && f.lines > most {
			t.Errorf("%s has %d lines; more than %d is a sign that it does two things", f.path, f.lines, most)
		}
	}
}

func TestNoPackageIsABag(t *testing.T) {
	for _, f := range parseTree(t) {
		switch f.ast.Name.Name {
		case "util", "utils", "common", "helper", "helpers", "types", "base", "misc":
			t.Errorf("%s: package %s says nothing about what it holds", f.path, f.ast.Name.Name)
		}
	}
}
