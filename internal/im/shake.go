package im

// ShakeOutcome says what became of a shake; values equal
// skein.v1.ShakeOutcome.
type ShakeOutcome uint8

// Shake outcomes; skein.v1.ShakeOutcome documents each.
const (
	ShakeNothing ShakeOutcome = 1
	ShakeWon     ShakeOutcome = 2
	ShakeLimit   ShakeOutcome = 3
	ShakeClosed  ShakeOutcome = 4
	ShakeBusy    ShakeOutcome = 5
)

// Shaken answers a shake.
type Shaken struct {
	Outcome ShakeOutcome
	// Cents is what was won.
	Cents Cents
	// RetryAfterMS is how long to wait when the server is busy.
	RetryAfterMS uint32
}

// Shaker answers shakes.
type Shaker interface {
	// Shake tries to win an envelope of a campaign for a user. done is
	// called once, at once or later, and must return at once.
	Shake(user UserID, campaign CampaignID, done func(Shaken))
}
