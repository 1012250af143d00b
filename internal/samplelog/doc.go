// Package samplelog writes samples of series, one per second, and events to
// files of text that rotate, and reads them again.
//
// # Format
//
// A file is lines of at most maxLine bytes. The first is "skein-samples 1". Then,
// in any order, but names before they are used:
//
//	n ID MERGE NAME         series ID is called NAME; MERGE is sum, max or min
//	t SECOND ID=VALUE ...   the series that differ from the t line before it in
//	                        this file; ID= alone: it has no value any more
//	e SECOND JSON           something happened
//
// SECOND is Unix time, VALUE a decimal number, rates per second for what
// counts. Every file begins anew with names and values, so each can be read
// alone. Files are called samples-NUMBER.log while they are written and
// samples-NUMBER.log.gz, compressed with gzip, afterwards; numbers grow, whatever
// clocks do.
//
// # What it persists
//
// A directory with such files, and lock, which the Writer holds (flock, so that
// the system frees it when the process dies in whatever way). Nothing is synced:
// after a power cut the last seconds may be missing.
//
// # Bounds
//
// The files together stay below Config.MaxBytes: before a file is begun, the
// oldest ones are removed until it fits in. A file ends at Config.FileBytes. A
// reader takes lines up to maxLine and maxSeries series; what is malformed, such
// as a line that a crash or a full disk has cut off, is skipped and counted.
//
// # When writing fails
//
// Append returns the error, the file is given up, and after Config.Retry the next
// sample begins a new one. Samples in between are missing from the log, and
// counted.
package samplelog
