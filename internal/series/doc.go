// Package series keeps numbers over time in bounded memory, at a resolution
// that falls with age: a second for five minutes, ten seconds for an hour, a
// minute for a day.
//
// # What it owns
//
// A Store is a set of named series. A number is taken for a second of Unix
// time; what falls into the same step of a tier is merged as the series says:
// the mean, the largest or the smallest. The same tiers answer every question,
// each with the finest that reaches back far enough. It persists nothing.
//
// # Invariants
//
// Time goes forward for the store as a whole: what comes for an earlier second
// than the last of its series is refused. A step for which nothing came has no
// value, which is not zero.
//
// # Bounds
//
// A series takes at most BytesPerSeries, in chunks that are made when time
// reaches them. A Store has at most as many series as it was made for. When it
// is full, a series that nothing has come for in ten minutes makes room;
// without such, the new one is refused and counted. A series without a value
// for a day is forgotten.
//
// # When it dies
//
// The numbers are lost; package monitor reads them again from its logs.
package series
