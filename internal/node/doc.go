// Package node puts a process together: which roles it has, in which order they
// start and stop, how they reach each other, and what an operator sees of them.
//
// # Shapes
//
// Serve is every role in one process. Mailbox and Gateway are its halves in
// processes of their own, with role links (package remote) between them. A
// process that has links to serve may have workers (package supervise): more
// processes of this program that serve the address for long links in its
// stead, and reach the mailbox over role links of their own. Every shape is made
// of the same parts: a backend, which is the store with the mailbox on it, and
// a front, which is what clients talk to, in front of an im.Mailbox, wherever
// that is.
//
// Nodes may share a store (setting store). Then each is a member of a
// cluster (package cluster), its mailbox serves a part of the slots, and whatever
// needs a mailbox holds the way to all of them (package route), the node's own
// included. Workers get the list of members from their supervisor.
//
// Of nodes that share a store, two roles have neither mailboxes nor clients' links. A
// router (package router) tells clients which gateways to connect to. A relay
// holds the connections to other regions: it has a Region without a mailbox, and the
// way to all mailbox nodes, which reach it in turn over an Uplink. In 'serve', and in a
// mailbox that is told of other regions, the relay is part of the process.
//
// A region's standby (package standby) is a role of its own, which serves nobody;
// where a region has one, the store of its mailboxes is behind a Source.
//
// # What it owns
//
// The listeners, the workers, the process's health. It persists nothing itself
// but two secrets in the data directory: the operator's token, and the one that
// roles share. In a worker neither is read: its supervisor hands it over.
//
// # Order
//
// Start, where the store is shared: the address of operations, at which the node says
// what it waits for. Then: store, mailbox, role links, the cluster, article data, gateway and HTTP
// API, links or workers, ops. Stop: long polls are answered and links told to go,
// here and in the workers, some at a time; then listeners for HTTP; slots that
// others can serve are handed over, and the cluster is left; role links, the
// mailbox, which finishes what it has taken, and the store. So nobody is promised
// anything that is not kept.
//
// # When it dies
//
// Its workers see that their supervisor is gone, send their clients away and
// exit. Its clients connect again and continue; see packages gateway and
// mailbox.
package node
