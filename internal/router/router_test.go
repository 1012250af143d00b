package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/cluster"
	"github.com/skein-im/skein/internal/im"
)

// fakeMembers are a list that tests change.
type fakeMembers struct {
	list   []cluster.Member
	failed error
}

func (f *fakeMembers) Members() ([]cluster.Member, *cluster.Table) {
	return f.list, cluster.NewTable(f.list)
}
func (f *fakeMembers) Failed() error              { return f.failed }
func (f *fakeMembers) Sync(context.Context) error { return f.failed }

func gateway(name string, links int64) cluster.Member {
	return cluster.Member{Node: name, State: cluster.Up, Version: "1", Link: name + ":7001", HTTP: name + ":7080", Links: links, MaxLinks: 1600}
}

func mailbox(name string) cluster.Member {
	return cluster.Member{Node: name, State: cluster.Up, Roles: name + ":7002"}
}

func newRouter(f *fakeMembers) *Router {
	return New(Config{
		Members: f, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMilli(1000) },
		Register: func(_ context.Context, m cluster.Member, _ time.Duration) error {
			if f.failed != nil {
				return f.failed
			}
			f.list = append(slices.DeleteFunc(slices.Clone(f.list), func(o cluster.Member) bool { return o.Node == m.Node }), m)
			return nil
		},
	})
}

// ask returns the status, and decodes the body.
func ask(t testing.TB, r *Router, path string, answer any, headers ...string) int {
	t.Helper()
	req := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	if answer != nil {
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			t.Fatalf("GET %s: %d %s: %v", path, w.Code, w.Body, err)
		}
	}
	return w.Code
}

func names(list []cluster.Member) (s []string) {
	for _, m := range list {
		s = append(s, m.Node)
	}
	return s
}

func TestAddressesAreTheLeastLoadedFirst(t *testing.T) {
	draining := gateway("c", 0)
	draining.State = cluster.Draining
	f := &fakeMembers{list: []cluster.Member{gateway("a", 800), gateway("b", 100), draining, mailbox("m"), gateway("d", 1600)}}
	r := newRouter(f)
	var got Addresses
	if status := ask(t, r, "/v1/addresses?n=9", &got); status != 200 || got.Stale {
		t.Fatalf("%d %+v", status, got)
	}
	var order []string
	for _, a := range got.Addresses {
		order = append(order, a.Node)
	}
	if !slices.Equal(order, []string{"b", "a", "d"}) || got.Addresses[0].Link != "b:7001" || got.Addresses[0].HTTP != "b:7080" {
		t.Errorf("%+v", got)
	}
	f.failed = errors.New("away")
	if ask(t, r, "/v1/addresses?n=1", &got); len(got.Addresses) != 1 || !got.Stale {
		t.Errorf("while the store is away: %+v", got)
	}
	f.list = []cluster.Member{draining}
	if status := ask(t, r, "/v1/addresses", nil); status != 503 {
		t.Errorf("without gateways: %d", status)
	}
}

// Not everybody takes the same gateway of several with about the same load, and
// a user gets the same answer as long as loads are about the same.
func TestAddressesAreSpread(t *testing.T) {
	var list []cluster.Member
	for i := range 4 {
		list = append(list, gateway(fmt.Sprintf("g%d", i), int64(20*i)))
	}
	first := map[string]int{}
	const requests = 4000
	for i := range uint64(requests) {
		first[choose(list, 0, i)[0].Node]++
		user := im.UserID(i + 1)
		if one, again := choose(list, user, i), choose(list, user, i+1); !slices.Equal(names(one), names(again)) {
			t.Fatalf("user %d is sent to %v, then to %v", user, names(one), names(again))
		}
	}
	for node, n := range first {
		if n < requests/5 || n > requests*3/10 {
			t.Errorf("%s comes first %d times of %d", node, n, requests)
		}
	}
	if len(first) != 4 {
		t.Errorf("%v", first)
	}
}

func TestCanaryGetsItsUsers(t *testing.T) {
	fresh := gateway("new", 1500)
	fresh.Version = "2"
	text, err := json.Marshal(cluster.Policy{Canary: cluster.Canary{Version: "2", Percent: 25}})
	if err != nil {
		t.Fatal(err)
	}
	list := []cluster.Member{gateway("a", 0), gateway("b", 0), fresh, {Node: cluster.PolicyNode, Policy: string(text)}}
	canary := cluster.PolicyOf(list).Canary
	sent := 0
	for user := im.UserID(1); user <= 2000; user++ {
		got := choose(list, user, 0)[0].Node == "new"
		if got != canary.Includes(im.User(user).Slot()) {
			t.Fatalf("user %d is sent to the canary: %v", user, got)
		}
		if got {
			sent++
		}
	}
	if sent < 400 || sent > 600 {
		t.Errorf("%d of 2000 users are sent to the canary", sent)
	}
	if len(choose(list, 0, 1)) != 3 {
		t.Error("the others do not follow")
	}
}

func TestNodesAndSlots(t *testing.T) {
	f := &fakeMembers{list: []cluster.Member{mailbox("m"), gateway("g", 3), {Node: "redis/1/r", Service: "redis/1", Address: "h:1"}}}
	r := newRouter(f)
	var nodes struct{ Nodes []Node }
	if status := ask(t, r, "/v1/nodes", &nodes); status != 200 || len(nodes.Nodes) != 2 || nodes.Nodes[1].Slots != im.Slots || nodes.Nodes[0].Links != 3 {
		t.Errorf("%d %+v", status, nodes)
	}
	var slot struct {
		Slot        im.Slot
		Node, Roles string
	}
	if status := ask(t, r, "/v1/slots?user=42", &slot); status != 200 || slot.Slot != im.User(42).Slot() || slot.Node != "m" || slot.Roles != "m:7002" {
		t.Errorf("%d %+v", status, slot)
	}
	f.list = nil
	if status := ask(t, r, "/v1/slots?user=42", nil); status != 503 {
		t.Errorf("without mailboxes: %d", status)
	}
}

func TestRegister(t *testing.T) {
	f := &fakeMembers{list: []cluster.Member{mailbox("m"), gateway("g", 0), mailbox("redis/1/taken")}}
	r := newRouter(f)
	const path = "/regist/redis/1/?id=res1&host=10.29.101.3&port=1501&cellid=1"
	for range 2 {
		if status := ask(t, r, path, nil); status != 200 {
			t.Fatalf("%d", status)
		}
	}
	var all struct{ Servers []Server }
	if status := ask(t, r, "/server", &all); status != 200 {
		t.Fatal(status)
	}
	for _, want := range []Server{
		{"redis", "1", "res1", "10.29.101.3", "1501", "1"}, {"gw", "1", "g", "g", "7001", ""},
		{"localposter", "1", "m", "m", "7002", ""}, {"cache", "1", "m", "m", "7002", ""},
	} {
		if !slices.Contains(all.Servers, want) {
			t.Errorf("%+v is missing in %+v", want, all.Servers)
		}
	}
	if status := ask(t, r, "/regist/redis/1/?id=taken&host=h&port=1", nil); status != 409 {
		t.Errorf("the name of a node: %d", status)
	}
	if status := ask(t, r, path, nil, "Sec-Fetch-Site", "cross-site"); status != 403 {
		t.Errorf("a page of another site: %d", status)
	}
	for i := len(cluster.Services(f.list)); i < maxServices; i++ {
		if status := ask(t, r, fmt.Sprintf("/regist/redis/2?id=n%d&host=h&port=1", i), nil); status != 200 {
			t.Fatalf("server %d: %d", i, status)
		}
	}
	if status := ask(t, r, "/regist/redis/3/?id=one&host=h&port=1", nil); status != 429 {
		t.Errorf("one too many: %d", status)
	}
	if status := ask(t, r, path, nil); status != 200 {
		t.Errorf("one that is there again: %d", status)
	}
	f.failed = im.Errorf(im.Unavailable, "the store is away")
	if status := ask(t, r, path, nil); status != 503 {
		t.Errorf("while the store is away: %d", status)
	}
	if s := r.Stats(); s.Services != maxServices || s.Gateways != 1 || !s.Stale || s.Failed != 4 || s.Asked[askServers] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRefusals(t *testing.T) {
	r := newRouter(&fakeMembers{list: []cluster.Member{mailbox("m"), gateway("g", 0)}})
	const good = "id=a&host=h&port=1"
	for path, want := range map[string]int{
		"/v1/addresses?user=x":                                            400,
		"/v1/addresses?user=-1":                                           400,
		"/v1/addresses?user=99999999999999999999":                         400,
		"/v1/addresses?n=0":                                               400,
		"/v1/addresses?n=33":                                              400,
		"/v1/slots":                                                       400,
		"/v1/slots?user=0":                                                400,
		"/regist/Redis/1/?" + good:                                        400,
		"/regist/redis/a%2fb/?" + good:                                    400,
		"/regist/redis/1/?id=&host=h&port=1":                              400,
		"/regist/redis/1/?id=a%20b&host=h&port=1":                         400,
		"/regist/redis/1/?id=a&host=h%00&port=1":                          400,
		"/regist/redis/1/?id=a&host=h&port=0":                             400,
		"/regist/redis/1/?id=a&host=h&port=65536":                         400,
		"/regist/redis/1/?id=a&host=&port=1":                              400,
		"/regist/redis/1/?" + good + "&ttl=1":                             400,
		"/regist/redis/1/?" + good + "&ttl=1000h":                         400,
		"/regist/redis/1/?" + good + "&cellid=" + strings.Repeat("x", 17): 400,
		"/regist/redis/?" + good:                                          404,
	} {
		var answer struct{ Error struct{ Kind, Detail string } }
		var into any = &answer
		if want == 404 {
			into = nil
		}
		if status := ask(t, r, path, into); status != want || want == 400 && (answer.Error.Kind != "invalid" || answer.Error.Detail == "") {
			t.Errorf("GET %s: %d %+v", path, status, answer)
		}
	}
}

// Whatever is registered can be read again, as one name and one address.
func FuzzService(f *testing.F) {
	f.Add("redis", "1", "id=res1&host=10.29.101.3&port=1501&cellid=1")
	f.Add("redis", "1", "id=a&host=::1&port=1")
	f.Add("a/b", "..", "id=%2f&host=%00&port=+1")
	f.Fuzz(func(t *testing.T, kind, region, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		m, err := parseService(kind, region, q)
		if err != nil {
			if im.KindOf(err) != im.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		r := newRouter(&fakeMembers{list: []cluster.Member{m}})
		var all struct{ Servers []Server }
		ask(t, r, "/server", &all)
		want := Server{kind, region, q.Get("id"), q.Get("host"), strings.TrimLeft(q.Get("port"), "0"), q.Get("cellid")}
		if strings.Count(m.Node, "/") != 2 || len(all.Servers) != 1 || all.Servers[0] != want {
			t.Errorf("%+v is listed as %+v", m, all.Servers)
		}
	})
}
