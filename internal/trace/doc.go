// Package trace follows single messages through the server. A message that is
// traced carries an im.TraceID; whoever has it in hand, gateway, shard or relay,
// records a Span of what it did with it and how long that took. The spans of a
// message, gathered from all processes it came through, are its trace.
//
// # What it owns
//
// A Recorder has the last spans of one process, in memory only: rings of a fixed
// number of spans, and the traces that were slowest of late. A Sampler decides
// which messages are traced. A Report is what one process knows of traces, and
// Merge puts the reports of several together.
//
// # What a span says
//
// Which step it was, when and for how long, in which process, of which entity, its
// place in a log and what went wrong. Never a body, a user's name or a token:
// there is no field for one.
//
// # Clocks
//
// Times are those of the machine that records, and within a process they do not
// go back, so lengths are right whatever happens to the clock; once a minute they
// follow the machine's clock again. Between machines they are as far apart as
// the clocks are: steps that begin on one machine and end on another
// ("arrive", "forward") are off by that, and are recorded as 0 rather than as
// less than nothing.
//
// # Bounds
//
// A Recorder holds Options.Spans spans of drawn traces and as many of forced
// ones, and MaxSlow slow traces of MaxTraceSpans spans each. The memory is taken
// with the first span. Traces that clients ask for are limited in number per
// second. What is beyond a bound is counted and not recorded; the messages
// themselves never wait for it.
//
// # When it dies
//
// The spans of that process are gone; the message's way is not concerned.
package trace
