// Package freeport gives addresses on loopback to servers that tests and benchmarks
// start: one address is given out once, on the whole machine, and stays its
// server's while that is away, to be started again at the same place.
//
// Port 0 cannot promise that: the system gives the port of a server that is away to
// the next connection that anybody makes, or to another process that asks for one.
// So the ports of this package are below those that the system gives away, and a
// process that has taken one holds a lock on it until it ends, which others that
// use this package respect: go test runs the tests of several packages at once.
//
// It owns one empty file in the directory for temporary files, which stays; the
// locks are on its bytes, and the system releases them when a process ends, in
// whatever way. It holds one descriptor, and some bytes for every port it has given
// out, of which there are 20,000.
package freeport
