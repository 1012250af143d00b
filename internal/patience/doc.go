// Package patience bounds what tests wait for, all by the same limit: long enough
// for a slow machine that does ten other things, so that running into it means that
// what is waited for does not happen. It decides nothing else: a test that wants to
// know how long something takes measures it.
//
// It owns nothing and keeps nothing. Only tests use it.
package patience
