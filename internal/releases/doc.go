// Package releases reads what earlier releases left in testdata/releases, for
// the tests that hold this version to it.
//
// # What it owns
//
// The layout of a release's directory, which scripts/fixtures.sh fills by
// running the release itself:
//
//   - facts.json: who is in the stores, and what was true there.
//   - stopped.tar.gz, killed.tar.gz: a data directory of the embedded store,
//     after a proper end and after SIGKILL.
//   - link-up.gz, link-down.gz: what a client said to a gateway, and heard.
//   - role-up.gz, role-down.gz: the same of a gateway and its mailbox, with the
//     handshake.
//   - redis.gz: the keys of a Redis that two nodes share, under load, with the records
//     of nodes and of the operator's policy; nodes.json is to it what facts.json is
//     to the directories.
//   - postgres.gz: the same in a schema of PostgreSQL, tables and functions, as
//     statements, and postgres.json; since 0.2.
//   - nodes-up.gz, nodes-down.gz: a role link between two mailbox nodes.
//   - relay-up.gz, relay-down.gz: messages from one region to another, without TLS.
//   - standby-up.gz, standby-down.gz: a region and its standby, without TLS.
//   - router.gz: what a router has answered, by path.
//   - schema.gz: the FileDescriptorSet of proto/.
//
// # What is persisted
//
// The files, which are never changed once they are there: they are what users
// have. It only reads.
//
// # Bounds
//
// A file is read whole; the largest has some hundred kilobytes.
//
// # When it dies
//
// It is part of tests only.
package releases
