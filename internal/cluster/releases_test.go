package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/releases"
	"github.com/skein-im/skein/internal/store"
	"github.com/skein-im/skein/internal/store/redis/redistest"
)

// TestMembersOfReleases: this version reads the records of an earlier release's nodes
// and of its operator's policy, writes them so that the earlier one reads them, and
// puts every slot where the earlier one has put it: nodes of both agree.
func TestMembersOfReleases(t *testing.T) {
	all, err := releases.All("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Has("redis") {
			t.Run(r.Name, func(t *testing.T) { reread(t, r) })
		}
	}
}

func reread(t *testing.T, r releases.Release) {
	var keys []redistest.Key
	if err := r.JSON("redis", &keys); err != nil {
		t.Fatal(err)
	}
	kept := map[string]redistest.Key{}
	for _, k := range keys {
		kept[k.Name] = k
	}
	var members []Member
	values := kept["t:{members}values"].Values
	for i := 0; i < len(values); i += 2 {
		m, err := parse(store.Member{Node: string(values[i]), Value: values[i+1]})
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.record()
		if err != nil || !sayTheSame(t, values[i+1], again.Value) {
			t.Errorf("%s is written as %s, %v", values[i+1], again.Value, err)
		}
		members = append(members, m)
	}
	if len(Nodes(members)) != 4 {
		t.Errorf("there are the records of %d nodes", len(Nodes(members)))
	}
	if p := PolicyOf(members); len(p.Pins) != 1 || p.Canary.Percent != 30 {
		t.Errorf("the policy is %+v", p)
	}
	table := NewTable(members)
	for slot := range im.Slot(im.Slots) {
		owner, _ := table.Owner(slot)
		held := kept[fmt.Sprintf("t:{s%04d}e", slot)].Values
		if len(held) != 1 || !strings.HasSuffix(string(held[0]), " "+owner.Node) {
			t.Fatalf("slot %d is to be on %s; it was acquired as %s", slot, owner.Node, held)
		}
	}
}

// sayTheSame: what a record said, it says again.
func sayTheSame(t *testing.T, was, is []byte) bool {
	t.Helper()
	var old, now map[string]any
	if err := errors.Join(json.Unmarshal(was, &old), json.Unmarshal(is, &now)); err != nil {
		t.Fatal(err)
	}
	for name, value := range old {
		if !reflect.DeepEqual(now[name], value) {
			return false
		}
	}
	return len(old) > 0
}
