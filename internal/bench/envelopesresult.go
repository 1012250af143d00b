package bench

import (
	"fmt"
	"io"
	"math"

	skeinv1 "github.com/skein-im/skein/gen/skein/v1"
	"github.com/skein-im/skein/internal/audit"
	"github.com/skein-im/skein/internal/bench/swarm"
)

// EnvelopesResult is the outcome of Envelopes.
type EnvelopesResult struct {
	Good        bool            `json:"good"`
	Config      EnvelopesConfig `json:"config"`
	Environment Environment     `json:"environment"`
	// Processes are those of the load generator, ServerProcesses those that
	// hold the connections.
	Processes        int     `json:"client_processes"`
	ServerProcesses  int     `json:"server_processes"`
	ProvisionSeconds float64 `json:"provision_seconds"`
	Conns            int     `json:"conns"`
	ConnectSeconds   float64 `json:"connect_seconds"`

	// The figures of the last round's shakes.
	OfferedQPS  float64      `json:"offered_qps"`
	AnsweredQPS float64      `json:"answered_qps"`
	LatencyMS   *Percentiles `json:"latency_ms,omitempty"`
	ServerCPU   float64      `json:"server_cpu_us_per_request"`

	EnvelopesBooks
	// Audit is "ok", what is wrong, or why there was none. Audited is what
	// the store holds.
	Audit   string       `json:"audit"`
	Audited *AuditTotals `json:"audited,omitempty"`
	// Problems are what does not agree, or was lost.
	Problems []string          `json:"problems"`
	Rounds   []*EnvelopesRound `json:"rounds"`

	LostConns uint64            `json:"lost_conns"`
	Repeated  uint64            `json:"repeated_calls"`
	Wrong     uint64            `json:"wrong"`
	Errors    map[string]uint64 `json:"errors"`
}

// EnvelopesBooks are the sums of all rounds. Won, Opened and ClientCents are by
// the devices' books, Issued, ServerOpened and ServerCents by the server's.
// Cents are those that were won and opened.
type EnvelopesBooks struct {
	Issued       uint64 `json:"issued"`
	Won          uint64 `json:"won"`
	Opened       uint64 `json:"opened"`
	ServerOpened uint64 `json:"server_opened"`
	ClientCents  int64  `json:"client_cents"`
	ServerCents  int64  `json:"server_cents"`
	// Wallets is how many were compared.
	Wallets int `json:"wallets_compared"`
}

// AuditTotals is what an audit found.
type AuditTotals struct {
	In        int64 `json:"in_cents"`
	Wallets   int64 `json:"wallet_cents"`
	Envelopes int64 `json:"envelope_cents"`
	Campaigns int64 `json:"campaign_cents"`
	InFlight  int64 `json:"in_flight_cents"`
	Entities  int   `json:"entities"`
	Entries   int   `json:"entries"`
}

const auditSkipped = "not made"

// EnvelopesRound is what came of one round.
type EnvelopesRound struct {
	Shakes    *Shakes        `json:"shakes,omitempty"`
	Envelopes *SentEnvelopes `json:"envelopes,omitempty"`
}

// Traffic is what became of the requests of a load.
type Traffic struct {
	Seconds     float64 `json:"seconds"`
	OfferedQPS  float64 `json:"offered_qps"`
	AnsweredQPS float64 `json:"answered_qps"`
	Due         uint64  `json:"due"`
	Answered    uint64  `json:"answered"`
	// Busy ones the server was too busy for, Held ones were not sent
	// because it had asked the device to wait. Lost is all the rest.
	Busy uint64 `json:"busy"`
	Held uint64 `json:"held"`
	Lost uint64 `json:"lost"`
	// LatencyMS is from when a request was due to its answer, LatenessMS by
	// how much the load generator was late to send it.
	LatencyMS  Percentiles `json:"latency_ms"`
	LatenessMS Percentiles `json:"generator_lateness_ms"`
	// ServerCPU is that of all the server's processes.
	ServerCPU float64 `json:"server_cpu_us_per_request"`
	ClientCPU float64 `json:"client_cpu_us_per_request"`
	// PerSecond is what happened in each second from the start.
	PerSecond []PerSecond `json:"per_second"`
}

// PerSecond is what happened in a second.
type PerSecond struct {
	Sent     uint32 `json:"sent"`
	Answered uint32 `json:"answered"`
	Issued   uint32 `json:"issued,omitempty"`
	Won      uint32 `json:"won,omitempty"`
	Opened   uint32 `json:"opened,omitempty"`
}

func newTraffic(l *loaded, seconds float64) Traffic {
	t := Traffic{
		Seconds: seconds, OfferedQPS: float64(l.Due) / seconds, AnsweredQPS: float64(l.InTime) / seconds,
		Due: l.Due, Answered: l.Answered, Busy: l.Shed, Held: l.Held, Lost: l.Due - l.Answered - l.Shed - l.Held,
		LatencyMS: l.latency, LatenessMS: l.lateness,
		ServerCPU: cpuPer(l.serverCPU, l.Answered), ClientCPU: cpuPer(l.clientCPU, l.Answered),
	}
	for _, s := range l.books.Seconds {
		t.PerSecond = append(t.PerSecond, PerSecond{Sent: s.Sent, Answered: s.Answered, Won: s.Won, Opened: s.Opened})
	}
	return t
}

// Shakes is what came of a round's shakes.
type Shakes struct {
	Traffic
	Issued uint64 `json:"issued"`
	// Won and WonCents have arrived in wallets.
	Won      uint64 `json:"won"`
	WonCents int64  `json:"won_cents"`
	// Returned is what the sponsor got back.
	Returned int64  `json:"returned_cents"`
	Nothing  uint64 `json:"nothing"`
	Limited  uint64 `json:"limited"`
	Closed   uint64 `json:"closed"`
	// WinMS is LatencyMS of those that won.
	WinMS   Percentiles `json:"win_latency_ms"`
	Windows *Windows    `json:"windows,omitempty"`

	// What the campaign says.
	serverWon   uint64
	serverCents int64
	finished    bool
}

// Windows are all spans of ten seconds in which a campaign issued envelopes, one
// beginning with each second.
type Windows struct {
	Seconds int `json:"seconds"`
	Count   int `json:"count"`
	// Min and Max are wins per second of the worst and the best one.
	Min float64 `json:"min_per_sec"`
	Max float64 `json:"max_per_sec"`
	// Within is the share of those within 5% of the rate.
	Within float64 `json:"share_within_5_percent"`
}

func newShakes(cfg *EnvelopesConfig, l *loaded, before, after *swarm.MoneyStatus, end *skeinv1.GetCampaignResponse) *Shakes {
	s := &Shakes{
		Traffic: newTraffic(l, cfg.shaking()), WinMS: percentilesOf(l.books.Wins),
		Issued: uint64(end.GetIssued()), Won: after.Paid - before.Paid, WonCents: int64(after.PaidCents - before.PaidCents),
		Returned: end.GetReturned(),
		Nothing:  after.Nothing - before.Nothing, Limited: after.Limited - before.Limited, Closed: after.Closed - before.Closed,
		serverWon: uint64(end.GetWon()), serverCents: end.GetWonCents(), finished: end.GetFinished(),
	}
	s.Windows = newWindows(s.PerSecond, int(cfg.issuing()), float64(cfg.IssueRate))
	return s
}

const (
	windowSeconds = 10
	windowError   = 0.05
)

// newWindows looks at the wins of the seconds in which envelopes were issued.
func newWindows(list []PerSecond, issuing int, rate float64) *Windows {
	w := &Windows{Seconds: windowSeconds, Min: math.Inf(1)}
	within, won := 0, 0
	for i, s := range list[:min(max(issuing, 0), len(list))] {
		won += int(s.Won)
		if i < windowSeconds-1 {
			continue
		}
		perSecond := float64(won) / windowSeconds
		w.Count++
		w.Min, w.Max = min(w.Min, perSecond), max(w.Max, perSecond)
		if math.Abs(perSecond-rate) <= windowError*rate {
			within++
		}
		won -= int(list[i-windowSeconds+1].Won)
	}
	if w.Count == 0 {
		return nil
	}
	w.Within = float64(within) / float64(w.Count)
	return w
}

func (s *Shakes) issuedIn(perSecond []uint32) {
	for i, n := range perSecond {
		if i < len(s.PerSecond) {
			s.PerSecond[i].Issued = n
		}
	}
}

// SentEnvelopes is what came of a round's envelopes. A request is one that is
// sent; the server's CPU time is that of sending it and opening its shares.
type SentEnvelopes struct {
	Traffic
	Received    uint64 `json:"received"`
	Opened      uint64 `json:"opened"`
	OpenedCents int64  `json:"opened_cents"`
	// OpenMS is from when an envelope came to the answer of opening it.
	OpenMS Percentiles `json:"open_latency_ms"`
}

func newSentEnvelopes(cfg *EnvelopesConfig, l *loaded, before, after *swarm.MoneyStatus) *SentEnvelopes {
	return &SentEnvelopes{
		Traffic: newTraffic(l, cfg.sending()), Received: after.Received - before.Received, Opened: after.Taken - before.Taken,
		OpenedCents: int64(after.TakenCents - before.TakenCents), OpenMS: percentilesOf(l.books.Opens),
	}
}

func newEnvelopesResult(r *enveloping) *EnvelopesResult {
	return &EnvelopesResult{
		Config: r.cfg, Environment: newEnvironment(r.cfg.Version), Processes: r.swarm.Processes(),
		ServerProcesses:  readServer(r.target.ServerPIDs).processes,
		ProvisionSeconds: r.provisioned.Seconds(), Audit: auditSkipped, Errors: map[string]uint64{},
	}
}

// finish takes what does not agree, and looks for what was lost.
func (r *EnvelopesResult) finish(s *swarm.Status, problems []string) {
	r.LostConns, r.Repeated, r.Wrong = s.Lost, s.Money.Repeated, s.Wrong
	for kind, n := range s.Errors {
		r.Errors[kind] += n
	}
	r.Problems = append([]string{}, problems...)
	for i, round := range r.Rounds {
		if t := round.Shakes; t != nil {
			r.OfferedQPS, r.AnsweredQPS, r.LatencyMS, r.ServerCPU = t.OfferedQPS, t.AnsweredQPS, &t.LatencyMS, t.ServerCPU
			r.lost(i, "shakes", t.Lost)
		}
		if t := round.Envelopes; t != nil {
			r.lost(i, "envelopes to be sent", t.Lost)
			r.lost(i, "shares to be opened", swarm.Friends*t.Answered-min(t.Opened, swarm.Friends*t.Answered))
		}
	}
	if r.Wrong > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("the server did something wrong %d times", r.Wrong))
	}
	r.Good = len(r.Problems) == 0
}

func (r *EnvelopesResult) lost(round int, what string, n uint64) {
	if n > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("round %d: %d %s were lost", round+1, n, what))
	}
}

// audited takes the outcome of the audit.
func (r *EnvelopesResult) audited(a *audit.Report) {
	r.Audited = &AuditTotals{
		In: int64(a.In), Wallets: int64(a.Wallets), Envelopes: int64(a.Envelopes), Campaigns: int64(a.Campaigns),
		InFlight: int64(a.InFlight), Entities: a.Entities, Entries: a.Entries,
	}
	if r.Audit = "ok"; !a.OK() {
		r.Audit = fmt.Sprintf("%d problems, the first one: %v", a.Found, a.Problems[0])
		r.Problems = append(r.Problems, "the audit found "+r.Audit)
		r.Good = false
	}
}

// WriteSummary tells a person.
func (r *EnvelopesResult) WriteSummary(w io.Writer) {
	fmt.Fprintf(w, "red envelopes: %d of %d connections from %d processes\n", r.Conns, r.Config.Conns, r.Processes)
	verdict := "nothing was lost, and all books agree"
	if !r.Good {
		verdict = "NOT GOOD"
	}
	fmt.Fprintf(w, "  %s\n", verdict)
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  problem     %s\n", p)
	}
	for i, round := range r.Rounds {
		fmt.Fprintf(w, "round %d\n", i+1)
		if s := round.Shakes; s != nil {
			s.write(w)
		}
		if e := round.Envelopes; e != nil {
			fmt.Fprintf(w, "  envelopes   %d due, %d sent, %d shares opened, %d cents\n", e.Due, e.Answered, e.Opened, e.OpenedCents)
			e.writeTraffic(w, "sent")
			writePercentiles(w, "opened", &e.OpenMS)
		}
	}
	fmt.Fprintf(w, "books\n  cents       %d by the devices, %d by the server; %d wallets compared\n", r.ClientCents, r.ServerCents, r.Wallets)
	fmt.Fprintf(w, "  audit       %s\n", r.Audit)
	writeErrors(w, r.Errors)
}

func (s *Shakes) write(w io.Writer) {
	fmt.Fprintf(w, "  shakes      %d due, %d answered, %.0f/s; %d lost, %d too busy for, %d held back\n",
		s.Due, s.Answered, s.AnsweredQPS, s.Lost, s.Busy, s.Held)
	s.writeTraffic(w, "answered")
	fmt.Fprintf(w, "  campaign    %d of %d issued were won, %d cents; %d cents came back\n", s.Won, s.Issued, s.WonCents, s.Returned)
	writePercentiles(w, "won", &s.WinMS)
	if v := s.Windows; v != nil {
		fmt.Fprintf(w, "  evenly      %.1f to %.1f wins/s in %d windows of %d s, %.0f%% within 5%% of the rate\n",
			v.Min, v.Max, v.Count, v.Seconds, 100*v.Within)
	}
}

func (t *Traffic) writeTraffic(w io.Writer, what string) {
	writePercentiles(w, what, &t.LatencyMS)
	writePercentiles(w, "own delay", &t.LatenessMS)
	fmt.Fprintf(w, "  CPU         %.1f us each here, %.1f us in the server\n", t.ClientCPU, t.ServerCPU)
}
