// Package remote carries im.Mailbox between processes: the role link between
// a gateway process and a mailbox node.
package remote
