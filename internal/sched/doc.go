// Package sched tells the system how to share the processors among the program's
// processes.
//
// # What it owns
//
// Nothing. The policy is a property of the process's threads, and what these
// start inherits it.
//
// # What is persisted
//
// Nothing.
//
// # When it dies
//
// The policy ends with the process.
package sched
