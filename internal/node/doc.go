// Package node puts a process together: it opens the store, starts the roles
// in order, opens the listeners, and stops everything in the reverse order.
//
// It owns the listeners and the process's health; it persists nothing itself.
// Order of start: store, mailbox, article data, gateway and HTTP API, ops.
// Order of stop: listeners first, so that nobody is promised anything more;
// then links, which are told to come back; then the mailbox, which finishes
// what it has taken; then the store.
package node
