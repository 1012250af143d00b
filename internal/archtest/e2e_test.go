package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// e2e is where the end-to-end tests are.
const e2e = "../../e2e"

// testName is a test's name in a text.
var testName = regexp.MustCompile(`\bTest[A-Z]\w*`)

// TestShapes: every end-to-end test runs in both shapes, or the doc comment of
// their package says why not.
func TestShapes(t *testing.T) {
	listed, named := exceptions(t)
	tests := map[string]bool{}
	for name, both := range declaredTests(t) {
		tests[name] = true
		switch {
		case both && listed[name]:
			t.Errorf("%s runs in both shapes; e2e/doc.go says that it does not", name)
		case !both && !listed[name]:
			t.Errorf("%s does not run in both shapes; e2e/doc.go does not say why", name)
		}
	}
	for _, name := range named {
		if !tests[name] {
			t.Errorf("e2e/doc.go names %s, which is no test", name)
		}
	}
}

// exceptions are the tests that the doc comment lists, and all that it names.
func exceptions(t *testing.T) (listed map[string]bool, named []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(e2e, "doc.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	listed = map[string]bool{}
	for line := range strings.Lines(f.Doc.Text()) {
		if list, _, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(line, "\t") {
			for _, name := range testName.FindAllString(list, -1) {
				listed[name] = true
			}
		}
		named = append(named, testName.FindAllString(line, -1)...)
	}
	return listed, named
}

// declaredTests are all tests, and whether they run in both shapes.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e2e, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) && f.Name.Name != "TestMain" {
				tests[f.Name.Name] = inBoth(f)
			}
		}
	}
	return tests
}

// inBoth reports whether a test asks for both shapes.
func inBoth(f *ast.FuncDecl) bool {
	used := map[string]bool{}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			used[id.Name] = true
		}
		return true
	})
	return used["inBothShapes"] || used["inEveryShape"] || used["together"] && used["apart"]
}
