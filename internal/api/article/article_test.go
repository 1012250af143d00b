package article

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/skein-im/skein/internal/account/fakemailbox"
	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/im"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*httptest.Server
	mailbox *fakemailbox.Mailbox
	log     *bytes.Buffer
}

// newFixture serves users 1 and 2, who are friends, and 3, who has none.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{mailbox: &fakemailbox.Mailbox{}, log: &bytes.Buffer{}}
	for user, friends := range map[im.UserID][]im.UserID{1: {2, 459}, 2: {1}, 3: nil} {
		if _, err := im.Do(t.Context(), f.mailbox, im.User(user), &im.Provision{Friends: friends}); err != nil {
			t.Fatal(err)
		}
	}
	logger := slog.New(slog.NewTextHandler(f.log, nil))
	f.Server = httptest.NewUnstartedServer(nil)
	f.Config = api.NewHTTPServer(NewHandler(f.mailbox, logger), logger)
	f.Start()
	t.Cleanup(f.Close)
	return f
}

// get returns the status and the body of a URL.
func (f *fixture) get(t testing.TB, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	return f.do(t, http.MethodGet, path, headers...)
}

func (f *fixture) do(t testing.TB, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := f.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestUserHasTheArticlesForm(t *testing.T) {
	f := newFixture(t)
	for path, want := range map[string]string{
		"/api/user/1":  `{"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":["2","459"]}`,
		"/api/user/1/": `{"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":["2","459"]}`,
		"/api/user/3":  `{"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":[]}`,
	} {
		res, body := f.get(t, path)
		if res.StatusCode != 200 || body != want || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %d %s", path, res.StatusCode, body)
		}
	}
}

func TestSend(t *testing.T) {
	f := newFixture(t)
	text := "你好 & 100% + more?"
	for i, path := range []string{
		"/api/c/1/2/1/?message=" + url.QueryEscape(text),
		"/api/c/1/2/2?message=plain",
		"/api/c/1/2/3/?message=",
		"/api/c/1/2/1/?message=repeated",
	} {
		res, body := f.get(t, path)
		if res.StatusCode != 200 || body != "OK" {
			t.Errorf("send %d: %d %q", i, res.StatusCode, body)
		}
	}
	entries, err := f.mailbox.ReadTimeline(t.Context(), 2, 0, 10)
	if err != nil || len(entries) != 3 || !bytes.Contains(entries[0], []byte(text)) {
		t.Errorf("the receiver has %d entries: %q, %v", len(entries), entries, err)
	}
	if _, body := f.get(t, "/api/user/1"); !strings.HasPrefix(body, `{"SendId":3,"ReceiveId":0,"SendAckId":3,`) {
		t.Errorf("the sender: %s", body)
	}
	if _, body := f.get(t, "/api/user/2"); !strings.HasPrefix(body, `{"SendId":0,"ReceiveId":3,`) {
		t.Errorf("the receiver: %s", body)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	huge := strings.Repeat("x", im.MaxBody+1)
	for path, want := range map[string]int{
		"/api/user/77":                     404,
		"/api/user/0":                      400,
		"/api/user/-1":                     400,
		"/api/user/abc":                    400,
		"/api/user/9007199254740992":       400,
		"/api/user/99999999999999999999":   400,
		"/api/user/":                       404,
		"/api/user/1/2":                    404,
		"/api/c/77/1/1/?message=x":         404,
		"/api/c/1/3/1/?message=x":          403,
		"/api/c/0/2/1/?message=x":          400,
		"/api/c/1/0/1/?message=x":          400,
		"/api/c/1/2/0/?message=x":          400,
		"/api/c/1/2/-1/?message=x":         400,
		"/api/c/1/2/x/?message=x":          400,
		"/api/c/1/2/1/":                    400,
		"/api/c/1/2/1/?text=x":             400,
		"/api/c/1/2/1/?message=a&b":        400,
		"/api/c/1/2/1/?message=a&c=d":      400,
		"/api/c/1/2/1/?message=a;b":        400,
		"/api/c/1/2/1/?message=a%2":        400,
		"/api/c/1/2/1/?message=%ff":        400,
		"/api/c/1/2/1/?message=a&message=": 400,
		"/api/c/1/2/1/?message=" + huge:    413,
		"/api/c/1/2/7/?message=x":          409,
		"/api/c/1/2/1/x?message=x":         404,
		"/api/c/1/2/?message=x":            404,
	} {
		res, body := f.get(t, path)
		if res.StatusCode != want || strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") {
			t.Errorf("GET %.60s: %d %q, want %d and one line", path, res.StatusCode, body, want)
		}
		if want == 409 && !strings.Contains(body, "next send id is 1") {
			t.Errorf("GET %s: %q does not tell the next id", path, body)
		}
	}
	if _, body := f.get(t, "/api/user/1"); !strings.HasPrefix(body, `{"SendId":0,`) {
		t.Errorf("something was sent: %s", body)
	}
}

func TestOnlyGetSends(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPut, http.MethodOptions} {
		res, _ := f.do(t, method, "/api/c/1/2/1/?message=x")
		if res.StatusCode != 405 || !strings.Contains(res.Header.Get("Allow"), "GET") {
			t.Errorf("%s: %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
		}
	}
}

func TestPagesOfOtherSitesDoNotSend(t *testing.T) {
	f := newFixture(t)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "none": 200, "same-origin": 200} {
		res, _ := f.get(t, "/api/c/1/2/1/?message=x", "Sec-Fetch-Site", site)
		if res.StatusCode != want {
			t.Errorf("from %s: %d, want %d", site, res.StatusCode, want)
		}
	}
}

func TestTemporaryErrorsAndDefects(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		err   error
		want  int
		retry string
	}{
		"busy":        {&im.Error{Kind: im.Busy, RetryAfterMS: 2500, Detail: "full"}, 503, "3"},
		"unavailable": {im.Errorf(im.Unavailable, "moving"), 503, "1"},
		"stale":       {im.Errorf(im.Stale, "old"), 409, ""},
		"internal":    {im.Errorf(im.Internal, "open /var/secret"), 500, ""},
		"foreign":     {errors.New("open /var/secret"), 500, ""},
	} {
		f.mailbox.Hook = func(im.Addr, im.Command) error { return c.err }
		for _, path := range []string{"/api/user/1", "/api/c/1/2/1/?message=x"} {
			res, body := f.get(t, path)
			if res.StatusCode != c.want || res.Header.Get("Retry-After") != c.retry || strings.Contains(body, "secret") {
				t.Errorf("%s: GET %s: %d %q, Retry-After %q", name, path, res.StatusCode, body, res.Header.Get("Retry-After"))
			}
		}
	}
	if n := strings.Count(f.log.String(), "/var/secret"); n != 4 {
		t.Errorf("4 defects were logged %d times", n)
	}
}

func TestReadData(t *testing.T) {
	const file = "# two friendships\n1,2,1\n\n2 , 1 , 1 # spaces\r\n4294967295,1,7\n1,4294967295,1\n"
	users, err := ReadData(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := "[{1 1 [2 4294967295]} {2 1 [1]} {4294967295 7 [1]}]"
	if got := fmt.Sprint(users); got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	if users, err := ReadData(strings.NewReader("# nobody\n")); err != nil || len(users) != 0 {
		t.Errorf("an empty file: %v, %v", users, err)
	}
}

func TestReadDataRefuses(t *testing.T) {
	many := &strings.Builder{}
	for i := range im.MaxContacts + 1 {
		fmt.Fprintf(many, "1,%d,1\n%d,1,1\n", i+2, i+2)
	}
	for name, c := range map[string]struct{ file, want string }{
		"one direction":     {"1,2,1\n2,1,1\n3,1,1\n", "line 3: there is 3,1 but not 1,3"},
		"two fields":        {"1,2\n", "line 1: not user,friend,region"},
		"four fields":       {"\n1,2,1,1\n", "line 2: not user,friend,region"},
		"no number":         {"a,2,1\n", "line 1: the user is"},
		"user 0":            {"0,2,1\n", "line 1: the user is"},
		"friend too large":  {"1,4294967296,1\n", "line 1: the friend is"},
		"negative region":   {"1,2,-1\n", "line 1: the region is"},
		"own friend":        {"5,5,1\n", "line 1: user 5"},
		"twice":             {"1,2,1\n2,1,1\n#\n1,2,1\n", "line 4: the friendship 1,2 is on line 1 already"},
		"two regions":       {"1,2,1\n2,1,1\n1,3,2\n3,1,1\n", "line 3: user 1 is in region 2 here, and in 1 on line 1"},
		"a long line":       {"1,2,1\n" + strings.Repeat(" ", 300) + "\n", "line 2: longer than"},
		"too many friends":  {many.String(), "user 1 has more than 10000 friends"},
		"an unreadable end": {"1,2,1\n\x00", "line 2"},
	} {
		users, err := ReadData(strings.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, len(users), err, c.want)
		}
	}
	broken := io.MultiReader(strings.NewReader("1,2,1\n"), errReader{})
	if _, err := ReadData(broken); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a broken file: %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func FuzzReadData(f *testing.F) {
	f.Add("1,2,1\n2,1,1\n")
	f.Add("# c\n1,2,1 # d\r\n\n2,1,3")
	f.Fuzz(func(t *testing.T, file string) {
		users, err := ReadData(strings.NewReader(file))
		if err != nil {
			return
		}
		// What was read, written again, is read the same.
		var again strings.Builder
		friends := map[[2]im.UserID]bool{}
		for _, u := range users {
			for _, v := range u.Friends {
				friends[[2]im.UserID{u.ID, v}] = true
				fmt.Fprintf(&again, "%d,%d,%d\n", u.ID, v, u.Region)
			}
		}
		for pair := range friends {
			if !friends[[2]im.UserID{pair[1], pair[0]}] {
				t.Errorf("%d is a friend of %d but not the other way round", pair[1], pair[0])
			}
		}
		users2, err := ReadData(strings.NewReader(again.String()))
		if err != nil || fmt.Sprint(users2) != fmt.Sprint(users) {
			t.Errorf("read again: %v, %v, want %v", users2, err, users)
		}
	})
}

// ring makes n users, each a friend of the next.
func ring(n int) []User {
	users := make([]User, n)
	for i := range n {
		users[i] = User{ID: im.UserID(i + 1), Friends: []im.UserID{im.UserID((i+1)%n + 1), im.UserID((i+n-1)%n + 1)}}
	}
	return users
}

func TestLoad(t *testing.T) {
	m := &fakemailbox.Mailbox{}
	users := ring(1000)
	for range 2 {
		calls := 0
		err := Load(t.Context(), m, users, func(done, total int) {
			if calls++; done != calls || total != 1000 {
				t.Errorf("call %d: %d of %d", calls, done, total)
			}
		})
		if err != nil || calls != 1000 {
			t.Fatalf("%d calls, %v", calls, err)
		}
	}
	c, err := im.Ask[*im.CountersInfo](t.Context(), m, im.User(500), &im.Counters{})
	if err != nil || fmt.Sprint(c.Friends) != "[499 501]" {
		t.Errorf("user 500: %v, %v", c, err)
	}
	if err := Load(t.Context(), m, users[:3], nil); err != nil {
		t.Errorf("without progress: %v", err)
	}
}

func TestLoadAsksABusyMailboxAgain(t *testing.T) {
	m := &fakemailbox.Mailbox{}
	var mu sync.Mutex
	tries := map[im.Addr]int{}
	m.Hook = func(to im.Addr, _ im.Command) error {
		mu.Lock()
		defer mu.Unlock()
		if tries[to]++; tries[to] < 3 {
			return &im.Error{Kind: im.Busy, RetryAfterMS: 1}
		}
		return nil
	}
	if err := Load(t.Context(), m, ring(10), nil); err != nil {
		t.Error(err)
	}
}
