//go:build linux

package bench

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/link"
	"github.com/skein-im/skein/internal/wire"
)

// moneyServer is a crowdServer with wallets, envelopes and campaigns. Every
// fifth shake wins.
type moneyServer struct {
	crowdServer
	// shaken, paid, answered and told change what a winner hears, what
	// arrives in a wallet, what a call is answered and what the API says. What
	// is nil is not sent.
	shaken   func(*wire.Shaken) *wire.Shaken
	paid     func(*wire.Money) *wire.Money
	answered func(c link.Conn, method string, a *skeinv1.Answer) *skeinv1.Answer
	told     func(proto.Message)

	balances  map[im.UserID]int64
	terms     *skeinv1.CreateCampaignRequest
	shakes    int
	won       uint32
	wonCents  int64
	envelopes map[uint64]*skeinv1.GetEnvelopeResponse
	keys      map[string]uint64
	// logs are what was delivered to each user, in frames.
	logs map[im.UserID][][]byte
}

var errNotFound = errors.New("not found")

func (s *moneyServer) serveMoney(t *testing.T, to *Target) {
	s.first = firstEnvelopes
	s.balances, s.envelopes, s.keys = map[im.UserID]int64{}, map[uint64]*skeinv1.GetEnvelopeResponse{}, map[string]uint64{}
	s.logs, s.welcomed = map[im.UserID][][]byte{}, s.again
	s.other, s.call = s.frame, s.ask
	s.serve(t, to)
}

func (s *moneyServer) frame(c link.Conn, id im.UserID, typ wire.Type, payload []byte) {
	switch typ {
	case wire.TypeShake:
		var m wire.Shake
		if err := m.Unmarshal(payload); err != nil {
			s.t.Error(err)
		}
		s.shake(c, id, &m)
	case wire.TypeCall:
		m := new(skeinv1.Call)
		if err := wire.UnmarshalMessage(payload, m); err != nil {
			s.t.Error(err)
		}
		s.answer(c, id, m)
	}
}

func (s *moneyServer) shake(c link.Conn, id im.UserID, m *wire.Shake) {
	a := &wire.Shaken{ID: m.ID, Shaken: im.Shaken{Outcome: im.ShakeNothing}}
	if s.shakes++; s.shakes%5 == 0 && s.won < s.terms.Count {
		a.Outcome, a.Cents = im.ShakeWon, im.Cents(s.terms.Total/int64(s.terms.Count))
		s.won++
		s.wonCents += int64(a.Cents)
		s.pay(id, wire.Money{Event: im.CampaignWon, Cents: a.Cents, Ref: uint64(m.Campaign)})
		if s.shaken != nil {
			if a = s.shaken(a); a == nil {
				return
			}
		}
	}
	_ = c.Send(wire.AppendShakenFrame(nil, a))
}

// pay changes a balance and says so in the timeline.
func (s *moneyServer) pay(id im.UserID, m wire.Money) {
	s.balances[id] += int64(m.Cents)
	m.Balance = im.Cents(s.balances[id])
	if s.paid != nil {
		p := s.paid(&m)
		if p == nil {
			return
		}
		m = *p
	}
	s.entry(id, &m)
}

func (s *moneyServer) entry(id im.UserID, m *wire.Money) {
	u := s.user(id)
	u.head++
	frame := wire.AppendDeliverFrame(nil, [][]byte{wire.AppendEntry(nil, &wire.Entry{Seq: u.head, Kind: wire.EntryMoney, Money: m})})
	s.logs[id] = append(s.logs[id], frame)
	_ = u.conn.Send(frame)
}

// again delivers everything to somebody who has come back: the last of it may
// have gone to the old connection.
func (s *moneyServer) again(id im.UserID) {
	for _, frame := range s.logs[id] {
		_ = s.user(id).conn.Send(frame)
	}
}

func (s *moneyServer) answer(c link.Conn, id im.UserID, m *skeinv1.Call) {
	var res proto.Message
	switch m.GetMethod() {
	case "skein.v1.EnvelopeService/Send":
		req := new(skeinv1.SendEnvelopeRequest)
		if err := proto.Unmarshal(m.GetBody(), req); err != nil {
			s.t.Error(err)
		}
		res = s.sendEnvelope(id, req)
	case "skein.v1.EnvelopeService/Open":
		req := new(skeinv1.OpenEnvelopeRequest)
		if err := proto.Unmarshal(m.GetBody(), req); err != nil {
			s.t.Error(err)
		}
		res = s.open(id, s.envelopes[req.Envelope])
	default:
		s.t.Errorf("a call of %s", m.GetMethod())
		return
	}
	body, err := proto.Marshal(res)
	if err != nil {
		s.t.Error(err)
	}
	a := &skeinv1.Answer{Id: m.GetId(), Body: body}
	if s.answered != nil {
		if a = s.answered(c, m.GetMethod(), a); a == nil {
			return
		}
	}
	s.sendMessage(c, wire.TypeAnswer, a)
}

func (s *moneyServer) sendEnvelope(id im.UserID, req *skeinv1.SendEnvelopeRequest) *skeinv1.SendEnvelopeResponse {
	if made := s.keys[req.GetKey().GetName()]; made > 0 {
		return &skeinv1.SendEnvelopeResponse{Envelope: made}
	}
	if int64(s.balances[id]) < req.Total || len(req.To) != 3 || req.Shares != 3 {
		s.t.Errorf("user %d with %d cents sends %v", id, s.balances[id], req)
	}
	made := uint64(len(s.envelopes) + 1)
	s.keys[req.GetKey().GetName()] = made
	s.envelopes[made] = &skeinv1.GetEnvelopeResponse{Sender: uint64(id), Total: req.Total, Shares: req.Shares, To: req.To}
	s.pay(id, wire.Money{Event: im.EnvelopeSent, Cents: im.Cents(-req.Total), Ref: made})
	for _, to := range req.To {
		s.entry(im.UserID(to), &wire.Money{Event: im.EnvelopeReceived, Ref: made, Total: im.Cents(req.Total)})
	}
	return &skeinv1.SendEnvelopeResponse{Envelope: made}
}

func (s *moneyServer) open(id im.UserID, e *skeinv1.GetEnvelopeResponse) *skeinv1.OpenEnvelopeResponse {
	for _, o := range e.Openings {
		if o.User == uint64(id) {
			return &skeinv1.OpenEnvelopeResponse{Sender: e.Sender, Cents: o.Cents}
		}
	}
	cents := e.Total / int64(e.Shares)
	e.Openings = append(e.Openings, &skeinv1.Opening{User: uint64(id), Cents: cents})
	s.pay(id, wire.Money{Event: im.EnvelopeOpened, Cents: im.Cents(cents)})
	return &skeinv1.OpenEnvelopeResponse{Sender: e.Sender, Cents: cents}
}

// ask is the API.
func (s *moneyServer) ask(user im.UserID, method string, body []byte) (res proto.Message, err error) {
	switch method {
	case "TopUp":
		req := new(skeinv1.TopUpRequest)
		err = proto.Unmarshal(body, req)
		s.balances[im.UserID(req.User)] += req.Cents
		res = &skeinv1.PaymentResponse{}
	case "CreateCampaign":
		s.terms = new(skeinv1.CreateCampaignRequest)
		err = proto.Unmarshal(body, s.terms)
		s.balances[im.UserID(s.terms.Sponsor)] -= s.terms.Total
		res = &skeinv1.CreateCampaignResponse{Campaign: 7}
	case "GetCampaign":
		c := &skeinv1.GetCampaignResponse{Issued: s.won, Won: s.won, WonCents: s.wonCents, Finished: time.Now().UnixMilli() > s.terms.EndMs}
		if c.Finished {
			c.Returned = s.terms.Total - s.wonCents
		}
		res = c
	case "Get":
		// Of an envelope or, without a number, of the wallet.
		req := new(skeinv1.GetEnvelopeRequest)
		err = proto.Unmarshal(body, req)
		if e := s.envelopes[req.Envelope]; e != nil {
			res = proto.Clone(e)
		} else if req.Envelope == 0 {
			res = &skeinv1.GetWalletResponse{Balance: s.balances[user]}
		} else {
			return nil, errNotFound
		}
	}
	if s.told != nil {
		s.told(res)
	}
	return res, err
}
