package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-im/skein/internal/patience"
)

// articleCounters is the answer to GET /api/user/<id>.
type articleCounters struct {
	SendId, ReceiveId, SendAckId, ClientReceiveId uint64
	Friends                                       []string `json:"friends"`
}

// TestArticleExperiment does what the article's client does, over the
// article's URLs: every user writes to every friend, in whatever order and
// repeatedly, while the server is killed and started again; at the end the
// counters agree.
func TestArticleExperiment(t *testing.T) {
	data := filepath.Join(t.TempDir(), "friends.txt")
	if _, err := run(t, "", "bench", "dataset", "--users", "60", "--friends", "8", "--seed", "7", "--format", "article", "--out", data); err != nil {
		t.Fatal(err)
	}
	friends := readFriends(t, data)
	for _, name := range []string{together, apart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Of several mailbox nodes, one has the URLs for all of them.
			p := shapes[name](t, filepath.Join(t.TempDir(), "data"), setup{})
			urls := freeAddr(t)
			serving := append(p.parts[0].args, "--article-api", urls)
			p.parts[0].args = append(slices.Clip(serving), "--article-data", data)
			p.parts[0].stop(t)
			p.again(p.parts[0])
			// What is loaded stays; to load it again takes all nodes.
			p.parts[0].args = serving
			articleExperiment(t, p, urls, friends)
		})
	}
}

func articleExperiment(t *testing.T, p *product, urls string, friends map[string][]string) {
	const messages = 5
	var wg sync.WaitGroup
	for user, list := range friends {
		wg.Go(func() { articleClient(t, urls, user, list, messages) })
	}
	// Kill everything twice while they write.
	for range 2 {
		waitForSends(t, urls, friends)
		p.kill()
		p.restart()
	}
	wg.Wait()
	for user, list := range friends {
		checkCounters(t, urls, user, list, messages)
	}
	p.stop(t)
}

func readFriends(t *testing.T, path string) map[string][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	friends := map[string][]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		parts := strings.Split(sc.Text(), ",")
		if len(parts) != 3 {
			t.Fatalf("line %q is not user,friend,region", sc.Text())
		}
		friends[parts[0]] = append(friends[parts[0]], parts[1])
	}
	if len(friends) == 0 {
		t.Fatal("the data set is empty")
	}
	return friends
}

// articleClient sends every message of a user: ids in blocks in any order,
// each until the server has said OK, some of them again.
func articleClient(t *testing.T, addr, user string, friends []string, messages int) {
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	total := len(friends) * messages
	for first := 1; first <= total; first += 20 {
		ids := make([]int, 0, 25)
		for id := first; id < first+20 && id <= total; id++ {
			ids = append(ids, id)
		}
		ids = append(ids, ids[:len(ids)/4]...)
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for _, id := range ids {
			friend := friends[id%len(friends)]
			link := fmt.Sprintf("http://%s/api/c/%s/%s/%d/?message=%s", addr, user, friend, id, url.QueryEscape(fmt.Sprintf("message %d", id)))
			if !articleSend(t, client, link) {
				return
			}
		}
	}
}

func articleSend(t *testing.T, client *http.Client, link string) bool {
	deadline := time.Now().Add(patience.Limit)
	for time.Now().Before(deadline) {
		status, body := get(client, link)
		switch status {
		case http.StatusOK:
			if body != "OK" {
				t.Errorf("%s: 200 with %q", link, body)
			}
			return true
		case -1, http.StatusServiceUnavailable:
			// It is being restarted, or busy.
		default:
			t.Errorf("%s: %d %s", link, status, body)
			return false
		}
	}
	t.Errorf("%s: no OK", link)
	return false
}

func readCounters(addr, user string) (c articleCounters, ok bool) {
	status, body := get(web, "http://"+addr+"/api/user/"+user)
	return c, status == http.StatusOK && json.Unmarshal([]byte(body), &c) == nil
}

// waitForSends waits until somebody has sent more than now.
func waitForSends(t *testing.T, addr string, friends map[string][]string) {
	t.Helper()
	before := map[string]uint64{}
	deadline := time.Now().Add(patience.Limit)
	for time.Now().Before(deadline) {
		moved, finished := 0, true
		for user, list := range friends {
			c, ok := readCounters(addr, user)
			if !ok {
				// Their mailbox is not served yet.
				finished = false
				continue
			}
			if b, seen := before[user]; seen && c.SendId > b {
				moved++
			}
			before[user] = c.SendId
			finished = finished && c.SendId == uint64(5*len(list))
		}
		if moved > len(friends)/2 || finished {
			return
		}
	}
	t.Fatal("nobody sends")
}

func checkCounters(t *testing.T, addr, user string, friends []string, messages int) {
	t.Helper()
	want := uint64(len(friends) * messages)
	var c articleCounters
	deadline := time.Now().Add(patience.Limit)
	for time.Now().Before(deadline) {
		var ok bool
		if c, ok = readCounters(addr, user); ok && c.SendId == want && c.SendAckId == want && c.ReceiveId == want {
			got := slices.Sorted(slices.Values(c.Friends))
			if !slices.Equal(got, slices.Sorted(slices.Values(friends))) {
				t.Errorf("user %s has friends %v, wanted %v", user, got, friends)
			}
			return
		}
	}
	t.Errorf("user %s: wanted %d sent, acknowledged and received, has %+v", user, want, c)
}
