// Package supervise runs one program as several worker processes and keeps
// them running. The supervisor starts them, asks them things, starts those
// that die again while the others go on, and drains them. Both sides are
// here: Start for the supervisor, Serve for the worker. What the workers do,
// and how they share a port, is not its business.
//
// # How they talk
//
// In lines of JSON of at most MaxLine bytes over the worker's standard input
// and output. The first line to the worker holds its input, so settings and
// secrets show up neither on the command line nor in the environment. The
// worker answers that it is ready, or why it cannot be; then come questions,
// answers, and the order to drain. Its standard error goes to the supervisor's,
// whole lines at a time.
//
// # What it owns
//
// The worker processes, one goroutine each that decides about the worker,
// two more that feed it and wait for it, and those that os/exec copies its
// output with; Drain and Stop wait for all of them. A worker is in a process
// group of its own, so that Ctrl-C in a terminal reaches the supervisor alone.
//
// # What is persisted
//
// Nothing.
//
// # Invariants
//
// A worker that died is started again after a wait of Config.MinBackoff that
// doubles up to Config.MaxBackoff with every failure, and is forgiven once a
// worker has been ready for Config.Forgive: no crash loop is a busy loop. A
// worker that ends because it was told to (SIGTERM, or status 0 after it was
// ready) has not failed. Nothing is started again once Drain or Stop was
// called, or before Start has returned.
//
// A worker whose output is not the protocol is killed: what it would answer
// cannot be trusted, and its clients are better off elsewhere.
//
// # Bounds
//
// A line has MaxLine bytes, a worker MaxAsks questions that are not answered;
// more are refused with Busy.
//
// # When it dies
//
// The supervisor: its workers find their standard input ended, are told so
// (Orphaned), drain their clients and exit. They are not sent a signal by the
// kernel, which would cut the clients off. What they log in that time is lost
// with the supervisor's end of their standard error.
//
// A worker: the questions to it fail with Unavailable, and it is started
// again.
package supervise
