// Package monitor is the role that watches: it collects the numbers of every
// process once a second, keeps a day of them, writes them to logs, raises alerts,
// and serves all of it over HTTP, with a dashboard.
//
// # What it owns
//
// A Monitor pulls /metrics from its Targets, in the Prometheus text format. What
// counts becomes a rate per second, a histogram its count, mean, median and 99th
// percentile. Values of the same series are merged across nodes; for a few
// metrics (catalog.go) there is a series per node too, ID@NODE. Names of
// metrics appear in catalog.go and nowhere else.
//
// # What it persists
//
// Samples and alerts, in the format of package samplelog, in a directory of its
// own. When a Monitor starts it reads back what is younger than a day.
//
// # Several monitors
//
// Any number may run. Each collects by itself, so each can be asked. Of those that
// share a directory, the one that holds its lock writes the logs and calls the
// webhook; when that one dies, in whatever way, the system frees the lock and
// another has it within a second. It finds in the log which alerts were told to
// the webhook, and tells the difference. Monitors with different directories do
// not know of each other: give the webhook to one of them.
//
// # Invariants
//
// Numbers have the Monitor's own seconds, which never go back; the clocks of
// nodes are not looked at. A second of the Monitor is a second, however many
// nodes report: what does not fit is collected less often (see Bounds), and what
// is served, logged and evaluated stays at one second.
//
// # Bounds
//
// Collecting: MaxTargets targets; at most maxRate pulls a second, so that beyond
// that many targets each is asked less often; one answer is parsed at a time;
// answers up to maxBody bytes and maxValues values. Memory: the bound of package
// series, and per target its last values. Alerts: maxAlerts. Webhook: a queue of
// webhookQueue messages, each tried a few times with a timeout. What is beyond a
// bound is counted, and named in what the Monitor says of itself.
//
// # When it dies
//
// Samples are missed, nothing else. When a target dies, or sends what is not
// metrics, it is shown as down with the reason and asked less often until it
// answers.
package monitor
