package remote

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// serverLink is the server's end of a link.
type serverLink struct {
	*transport
	srv  *Server
	peer hello
	// mailbox is what the client has asked for; way is nil unless that is in
	// another region.
	mailbox im.Mailbox
	way     Way

	// done: the link has ended and left nothing behind.
	done chan struct{}

	inFlight atomic.Int32
	// ctx ends with the link.
	ctx    context.Context
	cancel context.CancelFunc

	mu sync.Mutex
	// out is to be written; writing is how many bytes are being written.
	out     []byte
	writing int
	// sessions are those attached over this link, by the client's ids.
	sessions table[*remoteSession]
	// level is the last one told, reach likewise; nil: nothing was.
	level im.Level
	reach *im.Reach
	// parting: nothing is told of the region any more.
	parting bool
	// leaving: the client sends no more commands. ended: nothing is sent
	// any more.
	leaving, ended bool
}

func newServerLink(s *Server, in inbox, peer hello) *serverLink {
	l := &serverLink{
		transport: newTransport(in, s.cfg.Heartbeat, &s.traffic),
		srv:       s, peer: peer, done: make(chan struct{}), level: im.AnyLevel,
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// run carries the link until it ends.
func (l *serverLink) run() {
	log := l.srv.cfg.Logger.With("node", l.peer.node, "from", host(l.in.nc))
	log.Info("role link up")
	l.srv.cfg.Joined(l.peer.node)
	if l.srv.cfg.Serving != nil {
		slots, epochs := l.srv.cfg.Serving()
		l.announce(typeServed, slots, epochs)
	}
	var writer sync.WaitGroup
	writer.Go(func() { l.write(l.fill) })
	err := l.read(l)
	if k := im.KindOf(err); k == im.Invalid || k == im.TooLarge {
		l.srv.stats.broken.Add(1)
		l.sayFarewell(im.AsError(err).Detail)
		writer.Wait()
	}
	l.fail(err)
	writer.Wait()
	n := l.end()
	if errors.Is(err, io.EOF) && l.leaving {
		log.Info("role link closed", "sessions", n)
	} else {
		log.Warn("role link lost", "sessions", n, "err", l.cause)
	}
}

// end detaches the sessions that the link leaves behind.
func (l *serverLink) end() int {
	l.cancel()
	l.mu.Lock()
	sessions := l.sessions
	l.sessions, l.ended, l.out = table[*remoteSession]{}, true, nil
	l.mu.Unlock()
	sessions.each(func(_ im.SessionID, s *remoteSession) {
		l.srv.stats.sessions.Add(-1)
		l.mailbox.Submit(s.to, &im.Detach{Session: l.foreign(s.id)}, nil)
	})
	return sessions.len()
}

// foreign is the identifier under which the mailbox knows a client's session:
// the same through all links of one process, and another for every process.
func (l *serverLink) foreign(id im.SessionID) im.SessionID {
	if id == 0 {
		return 0
	}
	return im.SessionID(max(1, mix(uint64(id)+mix(l.peer.instance))))
}

// frame implements reader.
func (l *serverLink) frame(t wire.Type, payload []byte) error {
	switch t {
	case typeSubmit:
		return l.submit(payload)
	case typeForward:
		return l.forwarded(payload)
	case typeServed:
		return l.served(payload)
	case typeGoAway:
		l.mu.Lock()
		l.leaving = true
		l.mu.Unlock()
		l.nudge()
	case typeClose:
		return closedBy(payload)
	default:
		l.traffic.skipped.Add(1)
	}
	return nil
}

func (l *serverLink) batch() {}

// tick implements reader.
func (l *serverLink) tick() {
	if l.way != nil {
		l.lookAbroad()
		return
	}
	if l.srv.leveler == nil {
		return
	}
	l.mu.Lock()
	changed := l.level != l.srv.leveler.Level()
	l.mu.Unlock()
	if changed {
		l.nudge()
	}
}

// outstanding implements reader.
func (l *serverLink) outstanding() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.out)+l.writing > 0
}

// submit takes a command.
func (l *serverLink) submit(payload []byte) error {
	head, body, err := splitHead(payload)
	if err != nil {
		return err
	}
	var h submitHead
	if err := h.read(head); err != nil {
		return err
	}
	if l.inFlight.Add(1) > int32(l.srv.cfg.Window) {
		return im.Errorf(im.Invalid, "more than %d commands in flight", l.srv.cfg.Window)
	}
	l.srv.stats.commands.Add(1)
	c := &call{link: l, id: h.id}
	codec := commandCodecFor(h.code)
	if codec == nil {
		l.srv.stats.unknown.Add(1)
		c.Complete(nil, nil, im.Errorf(im.Unimplemented, "the mailbox node %q does not know command %d yet", l.srv.cfg.Node, h.code))
		return nil
	}
	cmd, err := codec.read(body)
	if err == nil {
		cmd, err = l.translate(c, h.to, cmd)
	}
	if err != nil {
		c.Complete(nil, nil, err)
		return nil
	}
	switch cmd := cmd.(type) {
	case *timelineRead, *conversationRead:
		l.srv.tasks.Go(func() { l.readFor(c, im.UserID(h.to.ID), cmd) })
	default:
		l.mailbox.Submit(h.to, cmd, c)
	}
	return nil
}

// translate gives a command's session the identifier that the mailbox knows.
func (l *serverLink) translate(c *call, to im.Addr, cmd im.Command) (im.Command, error) {
	switch cmd := cmd.(type) {
	case *im.Send:
		cmd.Session = l.foreign(cmd.Session)
	case *im.AckDelivered:
		cmd.Session = l.foreign(cmd.Session)
	case *im.Redeliver:
		cmd.Session = l.foreign(cmd.Session)
	case *im.Detach:
		l.forget(cmd.Session, nil)
		cmd.Session = l.foreign(cmd.Session)
	case *im.Attach:
		s := &remoteSession{link: l, id: cmd.Session, to: to}
		l.mu.Lock()
		added := l.sessions.put(s.id, s)
		l.mu.Unlock()
		if !added {
			return nil, im.Errorf(im.Invalid, "session %d cannot be attached twice", cmd.Session)
		}
		l.srv.stats.sessions.Add(1)
		c.session, cmd.Sink, cmd.Session = s, s, l.foreign(cmd.Session)
		if cmd.Resume != nil {
			cmd.Resume.Session = l.foreign(cmd.Resume.Session)
		}
	}
	return cmd, nil
}

// forget takes a session off the link's list; one in particular, unless it is
// nil.
func (l *serverLink) forget(id im.SessionID, only *remoteSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(id, only)
}

func (l *serverLink) forgetLocked(id im.SessionID, only *remoteSession) {
	s, ok := l.sessions.get(id)
	if !ok || only != nil && s != only {
		return
	}
	l.sessions.remove(id)
	l.srv.stats.sessions.Add(-1)
}

// readFor runs a read, when its turn has come.
func (l *serverLink) readFor(c *call, user im.UserID, cmd im.Command) {
	patience := func(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }
	var p page
	var err error
	switch cmd := cmd.(type) {
	case *timelineRead:
		err = l.whileRoom(patience(cmd.patienceMS), func(ctx context.Context) (err error) {
			p.entries, err = l.mailbox.ReadTimeline(ctx, user, cmd.after, int(cmd.limit))
			return err
		})
	case *conversationRead:
		err = l.whileRoom(patience(cmd.patienceMS), func(ctx context.Context) (err error) {
			read := l.mailbox.ReadConversation
			if cmd.statement {
				statements, ok := l.mailbox.(im.StatementReader)
				if !ok {
					return im.Errorf(im.Unimplemented, "statements cannot be read here")
				}
				read = statements.ReadStatement
			}
			p.entries, p.next, err = read(ctx, user, cmd.from, int(cmd.limit))
			return err
		})
	}
	c.Complete(cmd, &p, err)
}

// whileRoom runs a read when there is room for it, while its caller waits.
func (l *serverLink) whileRoom(patience time.Duration, read func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	select {
	case l.srv.reads <- struct{}{}:
		defer func() { <-l.srv.reads }()
		return read(ctx)
	case <-ctx.Done():
		return im.Errorf(im.Unavailable, "the mailbox has too many reads to do: %w", ctx.Err())
	}
}

// call is a command in flight.
type call struct {
	link *serverLink
	id   uint64
	// session is the one that an Attach is to make.
	session *remoteSession
}

// Complete implements im.Completion.
func (c *call) Complete(_ im.Command, res im.Result, err error) {
	l := c.link
	l.srv.stats.answers.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight.Add(-1)
	if err != nil && c.session != nil {
		l.forgetLocked(c.session.id, c.session)
	}
	if l.ended {
		return
	}
	before := len(l.out)
	l.out = appendAnswer(l.out, c.id, res, err)
	l.queued(before)
}

// queued follows what was appended to out, where there were before bytes.
func (l *serverLink) queued(before int) {
	if len(l.out)+l.writing > l.srv.cfg.MaxQueue {
		l.ended = true
		l.srv.stats.slow.Add(1)
		l.fail(im.Errorf(im.Unavailable, "over %d bytes wait to be read by the gateway", l.srv.cfg.MaxQueue))
		return
	}
	if before == 0 {
		l.nudge()
	}
}

// askToLeave asks the client to end the link in order. Before, it hears that the
// region is not to be reached here any more.
func (l *serverLink) askToLeave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		if l.reach != nil {
			l.parting = true
			l.out = appendReach(l.out, &im.Reach{Links: l.reach.Links, HTTP: l.reach.HTTP, Alike: l.reach.Alike})
		}
		l.out = wire.AppendHeader(l.out, typeGoAway, 0)
		l.nudge()
	}
}

// sayFarewell makes the reason for the end the last thing that is written.
func (l *serverLink) sayFarewell(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		l.out = (&farewell{im.CloseProtocol, reason}).append(l.out)
		l.nudge()
	}
}

// fill is what there is to write.
func (l *serverLink) fill(spare []byte) (out []byte, last bool) {
	level, reach := im.AnyLevel, (*im.Reach)(nil)
	switch {
	case l.way != nil:
		reach = l.news()
	case l.srv.leveler != nil:
		level = l.srv.leveler.Level()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if level != l.level {
		l.level = level
		l.out = appendLevel(l.out, level)
	}
	if reach != nil {
		l.reach = reach
		l.out = appendReach(l.out, reach)
	}
	out, l.out = l.appendControl(l.out), spare
	l.writing = len(out)
	if l.leaving && l.inFlight.Load() == 0 {
		l.ended = true
	}
	return out, l.ended
}
