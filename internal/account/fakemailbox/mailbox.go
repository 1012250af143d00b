package fakemailbox

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/skein-im/skein/internal/im"
)

// ErrLost makes a hook's command vanish: it is not applied and never answered.
var ErrLost = errors.New("lost")

// Mailbox is the fake. The zero value is empty and ready.
type Mailbox struct {
	// Hook, when set, sees every command before it is applied. The command
	// fails with the error it returns. It runs without locks held.
	Hook func(to im.Addr, cmd im.Command) error
	// ReadHook does the same for the two reading methods.
	ReadHook func(user im.UserID) error

	mu       sync.Mutex
	users    map[im.UserID]*user
	names    map[string]*im.NameInfo
	nextUser im.UserID
	sessions map[im.SessionID]*session
	clock    im.Millis
	// changed is closed, and forgotten, when sessions come or go.
	changed chan struct{}
}

type session struct {
	user   *user
	device im.DeviceID
	sent   im.Seq
	sink   im.Sink
	poll   bool
}

// Submit implements im.Mailbox.
func (m *Mailbox) Submit(to im.Addr, cmd im.Command, done im.Completion) {
	if done == nil {
		done = im.CompletionFunc(func(im.Command, im.Result, error) {})
	}
	if m.Hook != nil {
		switch err := m.Hook(to, cmd); err {
		case nil:
		case ErrLost:
			return
		default:
			done.Complete(cmd, nil, err)
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	res, err := m.apply(to, cmd)
	done.Complete(cmd, res, err)
	m.deliver()
}

func (m *Mailbox) apply(to im.Addr, cmd im.Command) (im.Result, error) {
	switch to.Kind {
	case im.KindName:
		return m.applyName(cmd)
	case im.KindAllocator:
		return m.allocate(cmd.(*im.AllocateUsers)), nil
	}
	u := m.users[im.UserID(to.ID)]
	switch c := cmd.(type) {
	case *im.CreateUser:
		m.makeUser(im.UserID(to.ID)).name = c.Name
		return nil, nil
	case *im.Provision:
		return nil, m.makeUser(im.UserID(to.ID)).provision(c)
	}
	if u == nil {
		return nil, im.Errorf(im.NotFound, "there is no user %d", to.ID)
	}
	switch c := cmd.(type) {
	case *im.Attach:
		return m.attach(u, c)
	case *im.Detach:
		delete(m.sessions, c.Session)
		m.notify()
		return nil, nil
	case *im.RevokeDevice:
		return nil, m.revoke(u, c.Device)
	case *im.ListDevices:
		return m.listDevices(u), nil
	}
	return m.applyUser(u, cmd)
}

func (m *Mailbox) applyName(cmd im.Command) (im.Result, error) {
	switch c := cmd.(type) {
	case *im.LookupName:
		if info := m.names[im.FoldName(c.Name)]; info != nil {
			return info, nil
		}
		return nil, im.Errorf(im.NotFound, "the name is not bound")
	case *im.BindName:
		if info := m.names[im.FoldName(c.Name)]; info != nil {
			return info, nil
		}
		if m.names == nil {
			m.names = map[string]*im.NameInfo{}
		}
		info := &im.NameInfo{Name: c.Name, User: c.User, PasswordHash: c.PasswordHash}
		m.names[im.FoldName(c.Name)] = info
		return info, nil
	}
	return nil, im.Errorf(im.Unimplemented, "a name does not understand %T", cmd)
}

func (m *Mailbox) allocate(c *im.AllocateUsers) *im.Allocated {
	m.nextUser = max(m.nextUser, im.FirstRegisteredUser)
	first := m.nextUser
	m.nextUser += im.UserID(c.Count)
	return &im.Allocated{First: first, Count: c.Count}
}

func (m *Mailbox) makeUser(id im.UserID) *user {
	if m.users == nil {
		m.users = map[im.UserID]*user{}
	}
	u := m.users[id]
	if u == nil {
		u = &user{id: id, contacts: map[im.UserID]*im.ContactInfo{}}
		m.users[id] = u
	}
	return u
}

func (m *Mailbox) attach(u *user, c *im.Attach) (im.Result, error) {
	state, err := u.authenticate(c.Device, c.TokenHash)
	if err != nil {
		return nil, err
	}
	if m.sessions == nil {
		m.sessions = map[im.SessionID]*session{}
	}
	if c.Cursor != nil {
		state.Cursor = *c.Cursor
	}
	defer m.notify()
	m.sessions[c.Session] = &session{user: u, device: c.Device, sent: state.Cursor, sink: c.Sink, poll: c.Poll}
	return state, nil
}

// deliver hands every session what it has not got.
func (m *Mailbox) deliver() {
	for _, s := range m.sessions {
		if head := s.user.head(); s.sent < head {
			s.sink.Deliver(s.sent+1, head, s.user.timeline[s.sent:])
			s.sent = head
		}
	}
}

func (m *Mailbox) revoke(u *user, id im.DeviceID) error {
	d := u.device(id)
	if d == nil {
		return im.Errorf(im.NotFound, "there is no such device")
	}
	d.revoked = true
	for sid, s := range m.sessions {
		if s.user == u && s.device == id {
			delete(m.sessions, sid)
			m.notify()
			s.sink.Kick(im.CloseRevoked, "the device was logged out")
		}
	}
	return nil
}

func (m *Mailbox) listDevices(u *user) []im.DeviceInfo {
	var list []im.DeviceInfo
	for i, d := range u.devices {
		if d.revoked {
			continue
		}
		info := im.DeviceInfo{Device: im.DeviceID(i + 1), Name: d.name, Created: d.created, Cursor: d.cursor}
		for _, s := range m.sessions {
			info.Online = info.Online || s.user == u && s.device == info.Device && !s.poll
		}
		list = append(list, info)
	}
	return list
}

// ReadTimeline implements im.Mailbox.
func (m *Mailbox) ReadTimeline(_ context.Context, id im.UserID, after im.Seq, limit int) ([][]byte, error) {
	if m.ReadHook != nil {
		if err := m.ReadHook(id); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[id]
	if u == nil || after >= u.head() {
		return nil, nil
	}
	entries := u.timeline[after:]
	return slices.Clone(entries[:min(limit, len(entries))]), nil
}

// ReadConversation implements im.Mailbox.
func (m *Mailbox) ReadConversation(_ context.Context, id im.UserID, from im.Seq, limit int) ([][]byte, im.Seq, error) {
	if m.ReadHook != nil {
		if err := m.ReadHook(id); err != nil {
			return nil, 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[id]
	if u == nil || from == 0 {
		return nil, 0, nil
	}
	if from > u.head() {
		return nil, 0, im.Errorf(im.NotFound, "there is no entry %d", from)
	}
	var page [][]byte
	peer := u.peers[from-1]
	for seq := from; seq > 0; seq-- {
		if u.peers[seq-1] != peer {
			continue
		}
		if len(page) == limit {
			return page, seq, nil
		}
		page = append(page, u.timeline[seq-1])
	}
	return page, 0, nil
}

// Sessions is how many sessions are attached.
func (m *Mailbox) Sessions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// WaitSessions returns when so many sessions are attached.
func (m *Mailbox) WaitSessions(ctx context.Context, n int) error {
	for {
		m.mu.Lock()
		if len(m.sessions) == n {
			m.mu.Unlock()
			return nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *Mailbox) notify() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Append adds an entry to a user's timeline and delivers it.
func (m *Mailbox) Append(id im.UserID, peer im.UserID, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock++
	m.makeUser(id).message(peer, false, m.clock, im.Content{Type: im.ContentText, Body: []byte(text)})
	m.deliver()
}

// Rewind takes a user's timeline back to what a copy has, in another generation.
func (m *Mailbox) Rewind(id im.UserID, g im.Generation, kept im.Seq) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.makeUser(id)
	u.generation, u.kept = g, kept
	u.timeline, u.peers = u.timeline[:kept], u.peers[:kept]
	for _, d := range u.devices {
		d.cursor = min(d.cursor, kept)
	}
}

// Kick ends every session as a mailbox that goes away does.
func (m *Mailbox) Kick(code im.CloseCode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range m.sessions {
		delete(m.sessions, id)
		m.notify()
		s.sink.Kick(code, "kicked by the test")
	}
}
