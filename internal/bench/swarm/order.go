package swarm

import (
	"math"

	"github.com/skein-im/skein/internal/im"
)

// Job is what a member is told first: what it is, and what its connections
// have in common.
type Job struct {
	// Member is the member's number, from 0, of Members.
	Member  int `json:"member"`
	Members int `json:"members"`
	// Total is how many connections all members have together.
	Total int `json:"total"`
	// First is the user of connection 0; the others follow.
	First im.UserID `json:"first"`
	Seed  uint64    `json:"seed"`
	// Target is where to connect to, Source where from; "": anywhere.
	Target string `json:"target"`
	Source string `json:"source,omitempty"`
	// TLS: speak it with ServerName. CA is a PEM certificate to trust
	// besides the system's.
	TLS        bool   `json:"tls,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	CA         []byte `json:"ca,omitempty"`
	// WebSocket: frames go over one.
	WebSocket bool `json:"web_socket,omitempty"`
	// HeartbeatMS is the interval to ask for.
	HeartbeatMS uint32 `json:"heartbeat_ms"`
	// Sends: the devices send messages, each to the user whose number
	// differs in the last bit. Window is how many of them a device may have
	// unanswered, Body how long they are.
	Sends  bool `json:"sends,omitempty"`
	Window int  `json:"window,omitempty"`
	Body   int  `json:"body,omitempty"`
	// Money: the devices shake, send red envelopes and open those that they
	// get. Senders is how many of them send, Run what keys begin with.
	Money   bool   `json:"money,omitempty"`
	Senders int    `json:"senders,omitempty"`
	Run     string `json:"run,omitempty"`
}

// MinBody is the least size of a message: sender, number and checksum.
const MinBody = 8 + 8 + 4

// Conns is how many of the connections are the member's.
func (j *Job) Conns() int { return (j.Total - j.Member + j.Members - 1) / j.Members }

// number is that of the member's i-th connection among all.
func (j *Job) number(i int) int { return j.Member + i*j.Members }

// user is whose the member's i-th connection is.
func (j *Job) user(i int) im.UserID { return j.First + im.UserID(j.number(i)) }

// Friend is whom a user of a swarm writes to.
func Friend(first, user im.UserID) im.UserID { return first + ((user - first) ^ 1) }

// Order tells a member what to do; one of the fields is set.
type Order struct {
	Connect *Connect `json:"connect,omitempty"`
	Expect  *Expect  `json:"expect,omitempty"`
	Load    *Load    `json:"load,omitempty"`
	Rate    *Rate    `json:"rate,omitempty"`
	// Rest ends the sending of heartbeats, so that those without an answer
	// can be told from those whose answers are on their way.
	Rest bool `json:"rest,omitempty"`
	// Collect asks for Collected.
	Collect bool `json:"collect,omitempty"`
}

// Connect lets all connections be opened.
type Connect struct {
	// Start is when to begin, on the monotonic clock in nanoseconds.
	Start int64 `json:"start"`
	// Rate is how many connections the member opens a second; 0: as many
	// as the window allows.
	Rate float64 `json:"rate,omitempty"`
	// Window is how many connections may be on their way to Welcome.
	Window int `json:"window"`
	// Wait: not yet; the same order comes again without it.
	Wait bool `json:"wait,omitempty"`
}

// Expect makes a member count the connections that a notice reaches: one with
// the Mark, which nothing else has, anywhere in it.
type Expect struct {
	Mark []byte `json:"mark"`
}

// What a Load is made of.
const (
	// Pings are answered by the gateway.
	Pings = "ping"
	// Sends are messages, answered when they are durable.
	Sends = "send"
	// Shakes are answered when what was won, if anything, is durable.
	Shakes = "shake"
	// Envelopes are sent by the senders in turn, each to three friends, who
	// open them at once.
	Envelopes = "envelope"
)

// Load makes connections send requests from a time on. With a Rate, request s
// of all members is due Start + s/Rate; without one, each of the first Active
// connections of the member has Depth requests unanswered.
type Load struct {
	What  string `json:"what"`
	Start int64  `json:"start"`
	// Seconds is how long requests are sent.
	Seconds float64 `json:"seconds"`
	// Rate is that of all members together.
	Rate   float64 `json:"rate,omitempty"`
	Active int     `json:"active,omitempty"`
	Depth  int     `json:"depth,omitempty"`
	// Window is how many pings of a connection may be unanswered; 0: very
	// many. Messages have that of the Job.
	Window int `json:"window,omitempty"`
	// Campaign is what is shaken, Cents what is in an envelope, which Rule
	// splits.
	Campaign im.CampaignID `json:"campaign,omitempty"`
	Cents    im.Cents      `json:"cents,omitempty"`
	Rule     im.SplitRule  `json:"rule,omitempty"`
}

// Rate changes that of the load with one that runs, from a time to come on.
type Rate struct {
	At int64 `json:"at"`
	// Rate is that of all members together.
	Rate float64 `json:"rate"`
}

// count is how many requests an open loop has.
func (l *Load) count() uint64 { return uint64(math.Round(l.Rate * l.Seconds)) }

// end is when the last request is due.
func (l *Load) end() int64 { return l.Start + int64(l.Seconds*1e9) }

// Report is what a member says.
type Report struct {
	Status    Status     `json:"status"`
	Collected *Collected `json:"collected,omitempty"`
	// Error: the member cannot go on.
	Error string `json:"error,omitempty"`
}

// Status is how things stand with a member, or, added up, with all. What is
// not said to be otherwise counts since the member's start.
type Status struct {
	// Orders counts those that were begun.
	Orders uint64 `json:"orders"`
	// Connected connections are logged in now; Failed ones were refused
	// for good.
	Connected int `json:"connected"`
	Failed    int `json:"failed"`
	// Dialed connections have been begun.
	Dialed int `json:"dialed"`
	// Logins counts Welcomes, Lost the logged in connections that ended,
	// Retries the attempts that had to be repeated.
	Logins  uint64 `json:"logins"`
	Lost    uint64 `json:"lost"`
	Retries uint64 `json:"retries"`
	// LastLogin is when the last connection was welcomed.
	LastLogin int64 `json:"last_login"`
	// HeartbeatMS is the interval that the server has set.
	HeartbeatMS uint32 `json:"heartbeat_ms"`
	BeatsSent   uint64 `json:"beats_sent"`
	BeatsMissed uint64 `json:"beats_missed"`
	// BeatsOpen connections wait for the answer to one now.
	BeatsOpen int `json:"beats_open"`
	// Noticed connections have the expected notice since Expect,
	// NoticedAgain counts its repetitions; LastNotice is when it came last.
	Noticed      int    `json:"noticed"`
	NoticedAgain uint64 `json:"noticed_again"`
	LastNotice   int64  `json:"last_notice"`
	// Load is about the last Load.
	Load LoadStatus `json:"load"`
	// Books is what came of all messages.
	Books BookStatus `json:"books"`
	// Money is what came of all shakes and envelopes.
	Money MoneyStatus `json:"money"`
	// CPU is the processor time that was used, in nanoseconds.
	CPU int64 `json:"cpu"`
	// Errors are why connections ended or did not come about, and what
	// servers do wrong; Wrong counts the latter.
	Wrong  uint64            `json:"wrong"`
	Errors map[string]uint64 `json:"errors,omitempty"`
}

// LoadStatus is what became of the requests of a Load:
// Due = Sent + Held + Full + Offline, and
// Sent = Answered + Shed + Refused + Unknown + Open.
type LoadStatus struct {
	// Running members still have requests to send.
	Running int    `json:"running"`
	Due     uint64 `json:"due"`
	Sent    uint64 `json:"sent"`
	// Answered requests were done; InTime of them before the Load's end.
	Answered uint64 `json:"answered"`
	InTime   uint64 `json:"in_time"`
	// Shed requests the server was too busy for, or they came right behind
	// such a one.
	Shed uint64 `json:"shed"`
	// Held requests were not sent because the server had asked the device
	// to wait, Full ones because too many were unanswered, Offline ones for
	// want of a connection.
	Held    uint64 `json:"held"`
	Full    uint64 `json:"full"`
	Offline uint64 `json:"offline"`
	// Refused requests the server did not want at all. Unknown ones lost
	// their connection before the answer.
	Refused uint64 `json:"refused"`
	Unknown uint64 `json:"unknown"`
	// Open requests wait for their answers.
	Open int `json:"open"`
}

// BookStatus is what devices have received.
type BookStatus struct {
	Admitted uint64 `json:"admitted"`
	Received uint64 `json:"received"`
	// Wrong messages came twice, out of order, from somebody else or
	// damaged.
	Wrong uint64 `json:"wrong"`
}

// Collected is what is too much for every report: histograms since the last
// time, in the compressed encoding of HdrHistogram, in microseconds.
type Collected struct {
	Latency  string `json:"latency"`
	Lateness string `json:"lateness"`
	// Logins is from the beginning of connecting to Welcome.
	Logins string `json:"logins"`
	// Admitted and Received are by connection of the member.
	Admitted []uint64 `json:"admitted,omitempty"`
	Received []uint64 `json:"received,omitempty"`
	// Wins is from when a shake was due that won to the answer, Opens from
	// when an envelope came to the answer of opening it.
	Wins  string `json:"wins"`
	Opens string `json:"opens"`
	// Seconds are those of the last load.
	Seconds []Second `json:"seconds,omitempty"`
	// Wallets are what the devices believe to have, Envelopes those that
	// they have sent since the last time. Differing devices have been told
	// something else than what arrived in their wallets.
	Wallets   []Wallet   `json:"wallets,omitempty"`
	Envelopes []Envelope `json:"envelopes,omitempty"`
	Differing int        `json:"differing,omitempty"`
}

// add adds what another member says.
func (s *Status) add(o *Status) {
	s.Orders += o.Orders
	s.Connected += o.Connected
	s.Failed += o.Failed
	s.Dialed += o.Dialed
	s.Logins += o.Logins
	s.Lost += o.Lost
	s.Retries += o.Retries
	s.LastLogin = max(s.LastLogin, o.LastLogin)
	s.HeartbeatMS = max(s.HeartbeatMS, o.HeartbeatMS)
	s.BeatsSent += o.BeatsSent
	s.BeatsMissed += o.BeatsMissed
	s.BeatsOpen += o.BeatsOpen
	s.Noticed += o.Noticed
	s.NoticedAgain += o.NoticedAgain
	s.LastNotice = max(s.LastNotice, o.LastNotice)
	s.Load.add(&o.Load)
	s.Books.Admitted += o.Books.Admitted
	s.Books.Received += o.Books.Received
	s.Books.Wrong += o.Books.Wrong
	s.Money.add(&o.Money)
	s.CPU += o.CPU
	s.Wrong += o.Wrong
	for kind, n := range o.Errors {
		if s.Errors == nil {
			s.Errors = map[string]uint64{}
		}
		s.Errors[kind] += n
	}
}

func (l *LoadStatus) add(o *LoadStatus) {
	l.Running += o.Running
	l.Due += o.Due
	l.Sent += o.Sent
	l.Answered += o.Answered
	l.InTime += o.InTime
	l.Shed += o.Shed
	l.Held += o.Held
	l.Full += o.Full
	l.Offline += o.Offline
	l.Refused += o.Refused
	l.Unknown += o.Unknown
	l.Open += o.Open
}
