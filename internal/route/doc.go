// Package route is an im.Mailbox that is spread over several nodes: it carries
// each command to the node that serves its entity.
//
// # What it owns
//
// One link per mailbox node (a remote.Client, made by Config.Dial), the
// placement that Update brought last, the last tenure of each slot that was heard
// of, and the commands that wait to be repeated.
// It has no goroutines of its own but those that close links.
//
// # What is persisted
//
// Nothing.
//
// # Where commands go
//
// A command about a session goes to the node at which the session was attached,
// whatever the placement says by now: so the commands of a session never overtake
// each other. When that node serves the entity no longer it says so, and ends
// the session; who owns the session attaches again, and only that goes by the new
// placement. An Attach that continues a session of another node has that one
// detached first. A session that no node has is answered Unavailable.
//
// Every other command goes by the placement. One that is answered "elsewhere", or
// whose link was closed because its node is gone, is repeated if it is
// im.Repeatable: after a while, or as soon as Update brings another owner, until
// Config.Patience ends. Such commands of one caller to one entity may overtake
// each other while the entity moves, if the caller does not wait for answers.
//
// The placement says who is to serve a slot. Who does is heard from the nodes: from
// those that acquire slots (Learn), and from answers that name an owner. The highest
// epoch counts, until its owner says that it has handed over, or is gone.
//
// Nothing here is relied on for safety. A placement may be old, or wrong: a node
// refuses what it does not serve, and the store what comes from a node that is
// not the owner any more.
//
// # Links of nodes that come and go
//
// Update dials nodes that are new, and closes the links of nodes that are gone:
// their sessions are kicked and commands completed, in the order that package
// remote has. It installs the new placement first, so that what is repeated
// goes to the new owners.
//
// # Bounds
//
// Links: one per node. Commands that wait to be repeated: Config.MaxWaiting, then
// they are answered with what they were to be repeated for. Everything else is
// the links'.
//
// # When it dies
//
// The nodes detach its sessions.
package route
