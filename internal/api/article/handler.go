package article

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/skein-im/skein/internal/api"
	"github.com/skein-im/skein/internal/im"
)

type handler struct {
	mailbox im.Mailbox
	log     *slog.Logger
}

// NewHandler serves the article's URLs.
func NewHandler(mailbox im.Mailbox, logger *slog.Logger) http.Handler {
	h := &handler{mailbox, logger}
	mux := http.NewServeMux()
	for _, end := range []string{"", "/{$}"} {
		mux.HandleFunc("GET /api/user/{user}"+end, h.user)
		mux.HandleFunc("GET /api/c/{user}/{friend}/{sendid}"+end, h.send)
	}
	return mux
}

// userInfo has the article's names for the counters.
type userInfo struct {
	SendID          uint64   `json:"SendId"`
	ReceiveID       uint64   `json:"ReceiveId"`
	SendAckID       uint64   `json:"SendAckId"`
	ClientReceiveID uint64   `json:"ClientReceiveId"`
	Friends         []string `json:"friends"`
}

func (h *handler) user(w http.ResponseWriter, r *http.Request) {
	body, err := h.readUser(r.Context(), r.PathValue("user"))
	if err != nil {
		h.fail(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.Write(body)
}

func (h *handler) readUser(ctx context.Context, text string) ([]byte, error) {
	user, err := parseUser(text)
	if err != nil {
		return nil, err
	}
	c, err := im.Ask[*im.CountersInfo](ctx, h.mailbox, im.User(user), &im.Counters{})
	if err != nil {
		return nil, err
	}
	info := userInfo{c.SendID, c.RecvID, c.SendAckID, c.ClientRecvID, make([]string, 0, len(c.Friends))}
	for _, f := range c.Friends {
		info.Friends = append(info.Friends, strconv.FormatUint(uint64(f), 10))
	}
	return json.Marshal(info)
}

func (h *handler) send(w http.ResponseWriter, r *http.Request) {
	// Reading is all that GET and HEAD should do; the article's GET is what
	// it is, but nobody needs its HEAD.
	if r.Method == http.MethodHead {
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	to, cmd, err := parseSend(r)
	if err == nil {
		_, err = im.Do(r.Context(), h.mailbox, im.User(to), cmd)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	io.WriteString(w, "OK")
}

// parseSend returns the sender and what to ask of the sender's mailbox.
func parseSend(r *http.Request) (im.UserID, *im.SendNumbered, error) {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return 0, nil, im.Errorf(im.PermissionDenied, "a page of another site may not send messages")
	}
	from, err := parseUser(r.PathValue("user"))
	if err != nil {
		return 0, nil, err
	}
	to, err := parseUser(r.PathValue("friend"))
	if err != nil {
		return 0, nil, err
	}
	id, err := strconv.ParseUint(r.PathValue("sendid"), 10, 64)
	if err != nil || id == 0 {
		return 0, nil, im.Errorf(im.Invalid, "a send id is a number from 1")
	}
	text, err := parseMessage(r.URL.RawQuery)
	if err != nil {
		return 0, nil, err
	}
	content := im.Content{Type: im.ContentText, Body: []byte(text)}
	return from, &im.SendNumbered{To: to, SendID: id, Content: content}, content.Check()
}

func parseUser(text string) (im.UserID, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil || id == 0 || id > uint64(im.MaxUser) {
		return 0, im.Errorf(im.Invalid, "a user id is a number from 1 to %d", im.MaxUser)
	}
	return im.UserID(id), nil
}

// parseMessage wants the one parameter there is: text with an unescaped '&'
// would lose its end otherwise.
func parseMessage(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) != 1 || len(values["message"]) != 1 {
		return "", im.Errorf(im.Invalid, "the query must be message=<text>, with the text escaped")
	}
	return values["message"][0], nil
}

// fail answers with the status of the error and one line that explains it.
func (h *handler) fail(w http.ResponseWriter, err error) {
	e := im.AsError(err)
	status, text := statusOf(e.Kind), e.Detail
	switch {
	case status == http.StatusInternalServerError:
		h.log.Error("a request of the article's API failed", "err", err)
		text = "internal error"
	case e.Kind.Temporary():
		w.Header().Set("Retry-After", api.RetryAfter(e))
	case e.Kind == im.SequenceGap:
		text = fmt.Sprintf("%s; the next send id is %d", text, e.Expected)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}

func statusOf(k im.ErrorKind) int {
	switch k {
	case im.Invalid:
		return http.StatusBadRequest
	case im.NotFound:
		return http.StatusNotFound
	case im.NotContact, im.Blocked, im.PermissionDenied:
		return http.StatusForbidden
	case im.TooLarge:
		return http.StatusRequestEntityTooLarge
	case im.SequenceGap, im.Conflict, im.Stale:
		return http.StatusConflict
	case im.Busy, im.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
