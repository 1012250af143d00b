package node

import (
	"log/slog"
	"os/exec"
)

// Role says which roles a process has.
type Role uint8

const (
	// Serve is all of them.
	Serve Role = iota
	// Mailbox is the store and the mailbox, for gateways elsewhere.
	Mailbox
	// Gateway is what clients talk to, with the mailbox elsewhere.
	Gateway
	// Monitor watches processes; Serve watches itself too.
	Monitor
	// Standby keeps a copy of a region's store.
	Standby
	// Router says who serves what among nodes that share a store.
	Router
	// Relay leads to other regions, for the mailboxes of other processes.
	Relay
)

func (r Role) String() string {
	return [...]string{"serve", "mailbox", "gateway", "monitor", "standby", "router", "relay"}[r]
}

// Options are what the program gives a node besides its settings.
type Options struct {
	Role   Role
	Logger *slog.Logger
	// Level is that of Logger; nil: it cannot be changed.
	Level   *slog.LevelVar
	Version string
	// WorkerCommand makes a command that calls RunWorker; nil: there can be
	// no workers.
	WorkerCommand func() *exec.Cmd
}
