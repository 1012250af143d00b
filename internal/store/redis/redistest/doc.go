// Package redistest starts Redis servers for tests and benchmarks: one, or a
// cluster with replicas, on free ports of the loopback interface, each with a
// directory of its own; and kills, pauses and restarts them.
//
// It owns the processes it has started, which end with this one (on Linux,
// even if it is killed), and their directories, which Stop removes. It
// installs nothing: the binary must be there, see Find.
package redistest
