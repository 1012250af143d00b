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
	m := e.Money
	if m == nil {
		return
	}
	what := amount(max(m.Cents, -m.Cents))
	switch m.Event {
	case client.EnvelopeReceived:
		what = t.name(e.Peer)
		t.mu.Lock()
		t.envelope = m.Ref
		t.mu.Unlock()
	case client.PaidOut:
		what = amount(m.Total)
	}
	text, ok := t.w.money[m.Event]
	if !ok {
		return
	}
	line := fmt.Sprintf(text, what, m.Ref)
	if greeting := clean(string(e.Content.Body)); greeting != "" {
		line += ": " + greeting
	}
	t.say(t.w.moneyLine, t.when(e.Time), line)
}

// gift sends an envelope to the user of the moment.
func (t *talker) gift(ctx context.Context, args []string) error {
	if t.peer == 0 {
		t.say("%s", t.w.nobody)
		return nil
	}
	e := client.Envelope{To: []client.UserID{t.peer}, Shares: 1, Rule: client.SplitRandom}
	if len(args) > 0 {
		cents, err := strconv.ParseInt(args[0], 10, 64)
		if err == nil {
			e.Total, args = client.Cents(cents), args[1:]
		}
	}
	if e.Total <= 0 {
		t.say("%s", t.w.badAmount)
		return nil
	}
	if len(args) > 0 {
		if n, err := strconv.Atoi(args[0]); err == nil {
			e.Shares, args = n, args[1:]
		}
	}
	e.Greeting = strings.Join(args, " ")
	res, err := t.c.SendEnvelope(ctx, client.NewKey(), e)
	if err == nil {
		t.say(t.w.sentEnvelope, res.Envelope)
	}
	return err
}

// open opens an envelope: the last that came, unless there is a number.
func (t *talker) open(ctx context.Context, args []string) error {
	t.mu.Lock()
	envelope := t.envelope
	t.mu.Unlock()
	if len(args) > 0 {
		var err error
		if envelope, err = strconv.ParseUint(args[0], 10, 64); err != nil {
			return err
		}
	}
	if envelope == 0 {
		t.say("%s", t.w.nothingToOpen)
		return nil
	}
	cents, err := t.c.OpenEnvelope(ctx, envelope)
	if err == nil {
		t.say(t.w.openedShare, amount(cents))
	}
	return err
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
			t.say("%s  %10s  %10s", t.when(e.Time), amount(e.Money.Cents), amount(e.Money.Balance))
		}
	}
	return nil
}
