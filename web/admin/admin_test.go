package admin

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What is embedded was made of the sources that are there.
func TestDistMatchesItsSources(t *testing.T) {
	out, err := exec.Command("../../scripts/web.sh", "--check").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestPagesAskNobodyElse(t *testing.T) {
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/")
	if page.Code != http.StatusOK || page.Header().Get("Content-Security-Policy") != Policy {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	if strings.Contains(Policy, "unsafe") || strings.Contains(page.Body.String(), "//") {
		t.Error(page.Body)
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	for _, ref := range refs {
		if ref[1] == "data:," {
			continue
		}
		if !strings.HasPrefix(ref[1], "./") || get(strings.TrimPrefix(ref[1], ".")).Code != http.StatusOK {
			t.Errorf("%s is not there", ref[1])
		}
	}
	if len(refs) < 3 {
		t.Errorf("%v", refs)
	}
}
