package remote

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/skein-im/skein/internal/im"
)

// TestTableIsAMap holds a table to a map.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tab table[int]
		model := map[im.SessionID]int{}
		// Few keys meet often; large ones wrap around.
		key := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) im.SessionID { return im.SessionID(rapid.Uint64Range(0, 60).Draw(t, "near")) }),
			rapid.Custom(func(t *rapid.T) im.SessionID { return im.SessionID(rapid.Uint64().Draw(t, "far")) }),
		)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.Int().Draw(t, "value")
				_, there := model[k]
				if tab.put(k, v) != (!there && k != 0) {
					t.Fatalf("put %d: there is %v", k, there)
				}
				if !there && k != 0 {
					model[k] = v
				}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				want, there := model[k]
				if v, ok := tab.remove(k); ok != there || v != want {
					t.Fatalf("removed %d: %d %v, want %d %v", k, v, ok, want, there)
				}
				delete(model, k)
			},
			"": func(t *rapid.T) { sameAsMap(t, &tab, model) },
		})
	})
}

func sameAsMap(t *rapid.T, tab *table[int], model map[im.SessionID]int) {
	if tab.len() != len(model) {
		t.Fatalf("%d keys, want %d", tab.len(), len(model))
	}
	for k, want := range model {
		if v, ok := tab.get(k); !ok || v != want {
			t.Fatalf("key %d: %d %v, want %d", k, v, ok, want)
		}
	}
	n := 0
	tab.each(func(k im.SessionID, v int) {
		if n++; model[k] != v {
			t.Fatalf("each: key %d has %d, want %d", k, v, model[k])
		}
	})
	if n != len(model) {
		t.Fatalf("each: %d keys, want %d", n, len(model))
	}
}

// TestTableComesAndGoes: many keys, then none.
func TestTableComesAndGoes(t *testing.T) {
	var tab table[int]
	const n = 50000
	for k := range im.SessionID(n) {
		tab.put(k+1, int(k))
	}
	if most := tab.len() * 3 / 2; len(tab.cells) > most {
		t.Errorf("%d cells for %d keys, want at most %d", len(tab.cells), tab.len(), most)
	}
	for k := range im.SessionID(n) {
		if v, ok := tab.remove(k + 1); !ok || v != int(k) {
			t.Fatalf("key %d: %d %v", k+1, v, ok)
		}
	}
	if len(tab.cells) > 2*firstCells {
		t.Errorf("%d cells are left for no keys", len(tab.cells))
	}
}
