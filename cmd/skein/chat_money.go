package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/skein-im/skein/client"
)

// amount writes cents as people do.
func amount(c client.Cents) string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, c/100, c%100)
}

// showMoney prints an entry about money.
func (t *talker) showMoney(e *client.Entry) {
	if e.Money != nil && e.Money.Event == client.EnvelopeReceived {
		t.mu.Lock()
		t.envelope = e.Money.Ref
		t.mu.Unlock()
	}
	if line := t.moneyText(e); line != "" {
		t.say(t.w.moneyLine, t.when(e.Time), line)
	}
}

// moneyText says what an entry about money means; "": nothing that is known.
func (t *talker) moneyText(e *client.Entry) string {
	m := e.Money
	if m == nil {
		return ""
	}
	if text, ok := t.w.spent[m.Event]; ok && m.Cents == 0 {
		return withGreeting(fmt.Sprintf(text, m.Ref), e)
	}
	text, ok := t.w.money[m.Event]
	if !ok {
		return ""
	}
	what := amount(max(m.Cents, -m.Cents))
	switch m.Event {
	case client.EnvelopeReceived:
		what = t.name(e.Peer)
	case client.PaidOut:
		what = amount(m.Total)
	}
	return withGreeting(fmt.Sprintf(text, what, m.Ref), e)
}

func withGreeting(line string, e *client.Entry) string {
	if greeting := clean(string(e.Content.Body)); greeting != "" {
		return line + ": " + greeting
	}
	return line
}

// gift sends an envelope to those it names, or to the user of the moment.
func (t *talker) gift(ctx context.Context, args []string) error {
	e, names := readGift(args)
	if e.Total <= 0 {
		t.say("%s", t.w.badAmount)
		return nil
	}
	for _, name := range names {
		user, err := t.find(ctx, name)
		if client.KindOf(err) == client.NotFound {
			t.say(t.w.noSuchUser, clean(name))
			return nil
		}
		if err != nil {
			return err
		}
		e.To = append(e.To, user)
	}
	if len(e.To) == 0 {
		if t.peer == 0 {
			t.say("%s", t.w.nobody)
			return nil
		}
		e.To = []client.UserID{t.peer}
	}
	if e.Shares == 0 {
		e.Shares = len(e.To)
	}
	res, err := t.c.SendEnvelope(ctx, client.NewKey(), e)
	if err == nil {
		t.say(t.w.sentEnvelope, res.Envelope)
	}
	return err
}

// readGift reads CENTS [SHARES] [@NAME...] [TEXT]. Shares are 0 when they are not
// given.
func readGift(args []string) (e client.Envelope, names []string) {
	e.Rule = client.SplitRandom
	if len(args) > 0 {
		if cents, err := strconv.ParseInt(args[0], 10, 64); err == nil {
			e.Total, args = client.Cents(cents), args[1:]
		}
	}
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil {
			e.Shares, args = n, args[1:]
		}
	}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '@' {
		names, args = append(names, args[0][1:]), args[1:]
	}
	e.Greeting = strings.Join(args, " ")
	return e, names
}

// open opens an envelope: the last that came, unless there is a number.
func (t *talker) open(ctx context.Context, args []string) error {
	t.mu.Lock()
	envelope := t.envelope
	t.mu.Unlock()
	if len(args) > 0 {
		var err error
		if envelope, err = strconv.ParseUint(args[0], 10, 64); err != nil {
			t.say("%s", t.w.noSuchEnvelope)
			return nil
		}
	}
	if envelope == 0 {
		t.say("%s", t.w.nothingToOpen)
		return nil
	}
	cents, err := t.c.OpenEnvelope(ctx, envelope)
	switch {
	case err == nil:
		t.say(t.w.openedShare, amount(cents))
	case client.KindOf(err) == client.NotFound:
		t.say("%s", t.w.noSuchEnvelope)
		return nil
	}
	return err
}

// shake tries to win an envelope of a campaign.
func (t *talker) shake(ctx context.Context, args []string) error {
	if len(args) == 0 {
		t.say("%s", t.w.whichCampaign)
		return nil
	}
	campaign, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		t.say("%s", t.w.whichCampaign)
		return nil
	}
	out, err := t.c.Shake(ctx, campaign)
	switch {
	case err != nil:
		return err
	case out.ShakeOutcome == client.ShakeWon:
		t.say(t.w.won, amount(out.Cents))
	default:
		t.say("%s", t.w.notWon[out.ShakeOutcome])
	}
	return nil
}

func (t *talker) balance(ctx context.Context) error {
	cents, err := t.c.Balance(ctx)
	if err == nil {
		t.say(t.w.balance, amount(cents))
	}
	return err
}

// statementLines is how much of a statement is shown.
const statementLines = 20

func (t *talker) statement(ctx context.Context) error {
	entries, _, err := t.c.Statement(ctx, 0, statementLines)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		t.say("%s", t.w.noHistory)
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if e := &entries[i]; e.Money != nil {
			t.say("%s  %10s  %10s  %s", t.when(e.Time), amount(e.Money.Cents), amount(e.Money.Balance), t.moneyText(e))
		}
	}
	return nil
}
