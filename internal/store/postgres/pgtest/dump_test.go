package pgtest

import (
	"errors"
	"os"
	"slices"
	"testing"
)

// What is dumped and loaded is what was there, functions too.
func TestDump(t *testing.T) {
	from, err := Start()
	if errors.Is(err, ErrMissing) && os.Getenv("TEST_NEED_POSTGRES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer from.Stop()
	if _, err := from.Query(t.Context(), `CREATE SCHEMA of_some; CREATE TABLE of_some.things (id int PRIMARY KEY, body bytea, node text);
		INSERT INTO of_some.things VALUES (1, '\x005c2e', E'a\n\\.'), (2, '', 'it''s');
		CREATE FUNCTION of_some.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
		CREATE SCHEMA of_others; CREATE TABLE of_others.things (id int)`); err != nil {
		t.Fatal(err)
	}
	dump, err := from.Dump(t.Context(), "of_some")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Query(t.Context(), "DROP SCHEMA of_some CASCADE; DROP SCHEMA of_others CASCADE"); err != nil {
		t.Fatal(err)
	}
	if err := from.Load(t.Context(), dump); err != nil {
		t.Fatalf("%v\n%s", err, dump)
	}
	got, err := from.Query(t.Context(), `SELECT of_some.twice(id) || encode(body, 'hex') || node FROM of_some.things ORDER BY id`)
	if want := []string{"2005c2ea\n\\.", "4it's"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q instead of %q, %v", got, want, err)
	}
	if others, err := from.Query(t.Context(), "SELECT count(*) FROM pg_namespace WHERE nspname = 'of_others'"); err != nil || others[0] != "0" {
		t.Errorf("others were dumped too: %q, %v", others, err)
	}
}
