// Package storetest holds what every store engine must do, as tests: the
// contract of internal/store in a form that fails. An engine's own tests call
// Run; what only one engine promises (crashes, files, failover) is tested
// there, with what is the same for several of them here: a Chat that goes on
// while servers fail and then knows what was lost, and Shards for benchmarks.
//
// It owns and persists nothing. A chat's goroutines end with it, or with its
// test.
package storetest
