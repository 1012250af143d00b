// Package admit decides what a process takes on: overload control by
// priority, token buckets, limits of connections, byte budgets. It knows no
// clock: times are handed in, as durations since any fixed point, and never
// go back. It persists nothing.
//
// # Overload
//
// A Controller stands before a queue. It follows "Overload Control for Scaling
// WeChat Microservices" (SoCC 2018): a window in which requests wait longer
// than 20 ms on average for their processing to start is overloaded; every
// request has a level, made of what it is for and a class of its user that
// changes every hour; a histogram of arrivals by level says where to put the
// cursor so that as many requests are admitted as can be processed. Users are
// therefore served whole or not at all, for an hour, rather than each in
// parts. It differs from the paper where that is too slow or may swing:
//
//   - Windows are 100 ms instead of 1 s: a 4-fold load fills a second of queue
//     in a third of a second.
//   - In an overloaded window the queue is never empty, so what was started in
//     it is what can be processed. The cursor goes there at once, less 5% for
//     every 20 ms that the queue is long, but no more than half; the paper's
//     steps of 5% from what was admitted take 28 windows for a 4-fold load, and
//     go on down while the old queue drains. The capacity is averaged with
//     what was usual before, since a pause of the machine looks alike.
//   - What started late was admitted long ago. If what is queued now is short,
//     the cursor stays. A queue of less than 128 requests is short.
//   - Afterwards admission returns to nine tenths of the known capacity at
//     once and grows from there by 1% a window, twice that for each further
//     window in which hardly anything waits: the paper's steps of 1% take
//     minutes after the load has gone.
//   - Callers that heed the level do not show what they hold back. The
//     histogram above the cursor is remembered, and fades within seconds, so
//     that an empty one is not taken for a lack of load.
//   - What may be queued is bounded by the capacity as last seen: a burst or a
//     stall between two windows cannot queue more than MaxWait of work, half
//     of it from other than live sessions.
//   - A request makes further work in the same queue, here link messages, which
//     nobody is asked about. Capacity is therefore counted in pieces of work,
//     and how many a request makes is learned; a queue that is full of them is
//     full. With requests alone, a window in which the server was busy with
//     what followed from the last one looked like a slow server.
//
// Requests of class Keep are never shed: they free more than they cost. They
// count as load.
//
// # Buckets and connections
//
// Buckets limits rates per device or address in a table of fixed size. A
// bucket that has filled up again is like none, so only those are displaced; if
// a newcomer finds no place it shares one bucket with other newcomers. A full
// table thus neither resets anybody nor locks anybody out. ConnLimit counts
// open connections per address exactly; its table is bounded by the number of
// connections.
//
// # Bytes
//
// Budgets form a tree: what a connection takes counts for its loop and its
// process too, or is refused. Nothing is reserved.
//
// # When it dies
//
// Everything is forgotten: buckets are full, the level admits everything, and
// the first overloaded window sets it again.
package admit
