// Package im holds the words of the domain: identifiers, sequences, errors,
// the commands entities understand and the interfaces through which roles
// call each other. It imports nothing but the standard library, owns no state
// and persists nothing.
package im
