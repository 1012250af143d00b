// Package otlp sends spans to an OTLP collector: over HTTP, as protobuf.
//
// # What it owns
//
// An Exporter has a queue of spans and one goroutine that posts them in batches.
// Export is handed to trace.Options; it never waits.
//
// # What is persisted
//
// Nothing.
//
// # Bounds
//
// The queue has Config.Queue spans. What finds no room is dropped and counted. A
// batch that the collector does not take because it is busy or not there is
// posted again, ever more rarely, for Config.Patience, while the queue fills;
// then it is dropped and counted, as is at once what the collector refuses for
// good. Nothing else in the process notices either.
//
// # When it dies
//
// The spans in the queue are lost to the collector. Close posts what there is,
// once.
package otlp
