// Package report writes a page about a run: what it was, a few figures, and
// charts over time.
//
// # What it owns
//
// How such a page looks, in the light and in the dark. The page is one file of
// HTML without anything from elsewhere: the charts are SVG, drawn here, and a
// few lines of script read values off under the pointer. The same charts can be had as
// pictures (PNG), for where a page cannot be shown. It persists nothing, and holds
// what it makes in memory until it is written.
//
// # Bounds
//
// A line of more than maxPoints points is thinned out to that many, each the
// mean of those it stands for.
package report
