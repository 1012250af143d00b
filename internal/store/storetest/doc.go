// Package storetest holds what every store engine must do, as tests: the
// contract of internal/store in a form that fails. An engine's own tests call
// Run; what only one engine promises (crashes, files, failover) is tested
// there.
//
// It owns and persists nothing.
package storetest
