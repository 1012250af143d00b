// Package accept takes connections from listeners, for every role that has one.
//
// It owns nothing and persists nothing. What passes by itself, because the peer
// went away or the system is short of files or memory, is logged and waited for,
// longer and longer up to a second: a process at its limit of open files must not
// spend its time on asking for another one. Bounds on how many connections there
// are belong to the callers.
package accept
