// Package child runs the servers of others for tests and benchmarks: programs that
// end with this process, whatever becomes of it, and that can be killed as by a loss
// of power, paused as on a machine that hangs, and started again on what they have
// on disk.
//
// It owns the processes it has started, with those that they start themselves, and
// persists nothing: a server's directory is its user's.
//
// On Linux, the kernel kills a child when this process dies. Elsewhere children
// outlive a process that is killed, and only the first process of a server is
// signalled: the others end by themselves when it has.
package child
