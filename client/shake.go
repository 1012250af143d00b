package client

import (
	"context"

	"github.com/skein-im/skein/internal/im"
	"github.com/skein-im/skein/internal/wire"
)

// ShakeOutcome says what became of a shake.
type ShakeOutcome = im.ShakeOutcome

// Shake outcomes.
const (
	// ShakeNothing: there is no envelope just now; shake again.
	ShakeNothing = im.ShakeNothing
	// ShakeWon: an envelope was won.
	ShakeWon = im.ShakeWon
	// ShakeLimit: the user has won as often as the campaign allows.
	ShakeLimit = im.ShakeLimit
	// ShakeClosed: the campaign has not begun, is over, or does not exist.
	ShakeClosed = im.ShakeClosed
)

// Outcome is the answer to a shake.
type Outcome struct {
	ShakeOutcome
	// Cents is what was won. It arrives in the wallet right after, with an
	// entry in the timeline.
	Cents im.Cents
}

// Shake tries to win an envelope of a campaign. Without a link it waits for one.
// Busy: wait for the error's RetryAfterMS. After Busy, or Unavailable with a
// broken link, the shake may have won all the same: then the timeline says so.
func (c *Client) Shake(ctx context.Context, campaign uint64) (Outcome, error) {
	a, err := c.ask(ctx, func(dst []byte, id uint64) ([]byte, error) {
		return wire.AppendShakeFrame(dst, &wire.Shake{ID: id, Campaign: im.CampaignID(campaign)}), nil
	})
	if err == nil && a.shaken.Outcome == im.ShakeBusy {
		err = &im.Error{Kind: im.Busy, RetryAfterMS: a.shaken.RetryAfterMS, Detail: "shaking is not possible just now"}
	}
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{a.shaken.Outcome, a.shaken.Cents}, nil
}

// shaken takes a Shaken.
func (c *Client) shaken(payload []byte) error {
	var m wire.Shaken
	if err := m.Unmarshal(payload); err != nil {
		return err
	}
	c.settleCall(m.ID, answer{shaken: m.Shaken})
	return nil
}
