// Package fakemailbox is an im.Mailbox for tests: it follows the contract of
// im.Mailbox and of the commands in memory, at once, without links between
// entities, shards or durability. Tests of the packages above the mailbox use
// it to see what they ask for and to make the mailbox fail.
//
// It persists nothing. It is test only: no program imports it.
package fakemailbox
