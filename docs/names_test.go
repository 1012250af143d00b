package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the top of the tree.
const root = ".."

// documents are the texts that people read, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = string(text)
		}
	}
	return texts
}

// testNames are the tests, benchmarks and fuzzers of every package below dir, by
// the package's directory.
func testNames(t *testing.T, dir string) map[string][]string {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	names := map[string][]string{}
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "node_modules", d.Name() == ".git":
			return skip(d)
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			pkg, _ := filepath.Rel(root, filepath.Dir(path))
			names[pkg] = append(names[pkg], m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// skip leaves a directory out, and ignores a file.
func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

// Every test that a document names exists.
func TestDocumentedTests(t *testing.T) {
	var all []string
	for _, names := range testNames(t, "") {
		all = append(all, names...)
	}
	word := regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`)
	for name, text := range documents(t) {
		for _, w := range word.FindAllString(text, -1) {
			// The beginning of a name is enough for -run.
			if !slices.ContainsFunc(all, func(n string) bool { return strings.HasPrefix(n, w) }) {
				t.Errorf("%s names %s, which does not exist", name, w)
			}
		}
	}
}

// Every pattern of a documented 'go test' finds something in each of its packages.
func TestDocumentedPatterns(t *testing.T) {
	command := regexp.MustCompile("go test ([^`\n]+)")
	found := 0
	for name, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			packages, patterns := goTest(shellWord.FindAllString(m[1], -1))
			for _, dir := range packages {
				names := testNames(t, dir)[dir]
				for _, p := range patterns {
					found++
					if !slices.ContainsFunc(names, regexp.MustCompile(p).MatchString) {
						t.Errorf("%s: go test %s: nothing in %s is called like %s", name, m[1], dir, p)
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d patterns were found", found)
	}
}

var shellWord = regexp.MustCompile(`'[^']*'|\S+`)

// goTest reads the arguments of go test: every alternative of -run and -bench that
// is to match something.
func goTest(args []string) (packages, patterns []string) {
	for i := range args {
		args[i] = strings.Trim(args[i], "'")
	}
	for i, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "./"); ok {
			packages = append(packages, strings.TrimSuffix(dir, "/..."))
		}
		if (arg == "-run" || arg == "-bench") && i+1 < len(args) && args[i+1] != "^$" && args[i+1] != "-" {
			patterns = append(patterns, strings.Split(args[i+1], "|")...)
		}
	}
	return packages, patterns
}

var (
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	title  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inTree = regexp.MustCompile("`((?:internal|cmd|client|deploy|docs|e2e|proto|scripts|testdata|web)/[\\w./-]+)`")
)

// Every link to another document leads to a file, and to a title in it, and every
// path in the tree exists.
func TestDocumentedPaths(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(m[1], "://") && !leads(t, name, m[1]) {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			}
		}
		for _, m := range inTree.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// leads reports whether a link in a document finds its file and title.
func leads(t *testing.T, from, target string) bool {
	t.Helper()
	file, anchor, _ := strings.Cut(target, "#")
	path := from
	if file != "" {
		path = filepath.Join(filepath.Dir(from), file)
	}
	info, err := os.Stat(path)
	if err != nil || anchor == "" || info.IsDir() {
		return err == nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range title.FindAllStringSubmatch(string(text), -1) {
		if anchorOf(m[1]) == anchor {
			return true
		}
	}
	return false
}

// anchorOf is what a title is called in links.
func anchorOf(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(title))
}

// Every figure in the table at the top of a README is one of BENCHMARKS.md.
func TestReadmeFigures(t *testing.T) {
	texts := documents(t)
	row := regexp.MustCompile(`(?m)^\| .* \| .* \|$`)
	figure := regexp.MustCompile(`[0-9][0-9,.]*[0-9](?:-[0-9][0-9,.]*[0-9])?`)
	for _, name := range []string{"README.md", "README.zh.md"} {
		n := 0
		for _, line := range row.FindAllString(texts[filepath.Join(root, name)], -1) {
			for _, f := range figure.FindAllString(line, -1) {
				n++
				if !strings.Contains(texts[filepath.Join(root, "docs", "BENCHMARKS.md")], f) {
					t.Errorf("%s: BENCHMARKS.md has no %s, as in %s", name, f, line)
				}
			}
		}
		if n < 10 {
			t.Errorf("%s: only %d figures were found", name, n)
		}
	}
}
