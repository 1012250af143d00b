package router

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// TestAnswersOfReleases: of the same nodes, this version's router says all that an
// earlier release's has said, so that clients and scripts which know the one read
// the other.
func TestAnswersOfReleases(t *testing.T) {
	all, err := releases.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Has("router") {
			t.Run(r.Name, func(t *testing.T) { answerAgain(t, r) })
		}
	}
}

func answerAgain(t *testing.T, r releases.Release) {
	var answers map[string]any
	if err := r.JSON("router", &answers); err != nil {
		t.Fatal(err)
	}
	router := newRouter(&fakeMembers{list: recorded(t, r)})
	for path, was := range answers {
		var is any
		if status := ask(t, router, path, &is); status != 200 {
			t.Fatalf("%s: %d", path, status)
		}
		now := map[string]bool{}
		said(is, "", func(what string) { now[what] = true })
		said(was, "", func(what string) {
			if !now[what] {
				t.Errorf("%s has said %s", path, what)
			}
		})
	}
	if len(answers) < 4 {
		t.Errorf("there are %d answers", len(answers))
	}
}

// recorded are the records of a release's nodes.
func recorded(t *testing.T, r releases.Release) (members []cluster.Member) {
	t.Helper()
	var keys []redistest.Key
	if err := r.JSON("redis", &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		for i := 1; k.Name == "t:{members}values" && i < len(k.Values); i += 2 {
			var m cluster.Member
			if err := json.Unmarshal(k.Values[i], &m); err != nil {
				t.Fatal(err)
			}
			members = append(members, m)
		}
	}
	return members
}

// said calls note with every field of an answer, and what kind of value it has.
func said(answer any, at string, note func(what string)) {
	switch v := answer.(type) {
	case map[string]any:
		for name, value := range v {
			said(value, at+"."+name, note)
		}
	case []any:
		for _, value := range v {
			said(value, at+"[]", note)
		}
	default:
		note(fmt.Sprintf("%s, a %T", at, v))
	}
}
