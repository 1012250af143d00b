// Package sim runs whole clusters on virtual time.
package sim
