package im

// Level is a rank of importance: the lower, the more important. Every command
// has one, and an overloaded mailbox has one too: it refuses what ranks above.
type Level uint32

// AnyLevel admits everything.
const AnyLevel Level = 1<<32 - 1

// Leveler is a Mailbox that says which level it admits now. Callers heed it
// before they submit, so that what would be refused costs nothing.
type Leveler interface {
	Level() Level
}

// AddrLeveler is a Leveler of several nodes: what is admitted depends on which
// of them has the entity.
type AddrLeveler interface {
	LevelFor(to Addr) Level
}
