package node

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/region"
	"github.com/skein-im/skein/internal/relay"
)

// RegionStatus is what GET /regions on the ops listener answers.
type RegionStatus struct {
	Region    string         `json:"region"`
	Directory string         `json:"directory"`
	Users     region.Stats   `json:"users"`
	Peers     []relay.Status `json:"peers"`
}

func (n *Node) regionsz(w http.ResponseWriter, _ *http.Request) {
	rs := n.regions
	answerJSON(w, http.StatusOK, RegionStatus{
		Region: n.cfg.Region, Directory: string(n.cfg.DirectoryRegion()), Users: rs.region.Stats(), Peers: rs.status(),
	})
}

// Refusal is what /regions/move answers when it does not.
type Refusal struct {
	Kind   string `json:"kind"`
	Error  string `json:"error"`
	Region string `json:"region,omitempty"`
}

// movez moves a user: form values user (a number or a name) and to.
func (n *Node) movez(w http.ResponseWriter, r *http.Request) {
	rs := n.regions
	user, err := n.userNamed(r.Context(), r.FormValue("user"))
	var moved *region.Moved
	if err == nil {
		moved, err = rs.region.Move(r.Context(), user, im.Region(r.FormValue("to")))
	}
	if err != nil {
		e := im.AsError(err)
		n.log.Warn("a move was refused or broken off", "user", r.FormValue("user"), "to", r.FormValue("to"), "err", err)
		status := http.StatusConflict
		if e.Kind.Temporary() {
			status = http.StatusServiceUnavailable
		}
		no := Refusal{Kind: e.Kind.String(), Error: e.Detail}
		if e.At != nil {
			no.Region = string(e.At.Home.Region)
		}
		answerJSON(w, status, no)
		return
	}
	answerJSON(w, http.StatusOK, moved)
}

// userNamed is the user with a number, or with a name.
func (n *Node) userNamed(ctx context.Context, s string) (im.UserID, error) {
	if id, err := strconv.ParseUint(s, 10, 64); err == nil && im.UserID(id) <= im.MaxUser {
		return im.UserID(id), nil
	}
	if err := im.CheckName(s); err != nil {
		return 0, err
	}
	info, err := im.Ask[*im.NameInfo](ctx, n.mailbox(), im.NameAddr(s), &im.LookupName{Name: s})
	if err != nil {
		return 0, err
	}
	return info.User, nil
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
