// Package archtest holds the rules of the tree to account: which package may
// import which, that every package says what it owns, that hand-written files
// stay small. It owns and persists nothing; it exists for its tests.
package archtest
