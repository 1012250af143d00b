// Package pgtest starts PostgreSQL servers for tests and benchmarks: one, or a
// primary with standbys, on free ports of the loopback interface, each with a
// directory of its own; kills, pauses, promotes and restarts them; and dumps and
// loads what is in them.
//
// It owns the processes it has started, which end with this one (on Linux,
// even if it is killed), and their directories, which Stop removes. Servers
// refuse to run as root: then they run as the user postgres or nobody. It
// installs nothing: the binaries must be there, see Find.
package pgtest
