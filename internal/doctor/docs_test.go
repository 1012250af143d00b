package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func operations(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryCheckIsDocumented compares the table of checks with those there are.
func TestEveryCheckIsDocumented(t *testing.T) {
	_, limits, _ := strings.Cut(operations(t), "\n## Limits\n")
	limits, _, _ = strings.Cut(limits, "\n## ")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(limits, -1) {
		documented = append(documented, m[1])
	}
	if !slices.Equal(documented, Names()) {
		t.Errorf("documented: %q\nchecked:    %q", documented, Names())
	}
}

// TestDocumentedMetricsExist looks for their names in the reference, which the
// metrics themselves are held to.
func TestDocumentedMetricsExist(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join("..", "..", "docs", "METRICS.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\bskein_[a-z_]+`).FindAllString(operations(t), -1)
	if len(names) < 20 {
		t.Fatalf("only %q", names)
	}
	for _, name := range names {
		if !strings.Contains(string(reference), "| `"+name+"` |") {
			t.Errorf("there is no metric %s", name)
		}
	}
}
