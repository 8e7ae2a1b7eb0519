// Package fleet tells how long data lives in a fleet of many disks under a scheme of
// redundancy. The live comparison shows how fast a scheme rebuilds; this package says what
// that is worth over years: mean time to data loss, chance of a loss in a year, bytes lost.
//
// A redundancy Group is the heart of it: some units, of which so many may be lost at once.
// Three ways lead from a group to its losses, and none knows of another:
//
//	Closed    formulas, the textbook's and their extension to several causes: leading order in repair time over life time
//	Exact     a Markov chain with absorbing states, solved without a single subtraction
//	Simulate  event by event, unit by unit; rare losses are made frequent and weighed
//
// They must agree where they describe the same thing; tests hold them to 5 %. Events goes
// from one group to a fleet of many whose groups share disks, and Fleet simulates that with
// every disk, node and block group of its own. Params and Rates say what hardware it is and
// how fast it rebuilds; Compare does all of it for the schemes of package result.
//
// Times are hours, rates are per hour, sizes are bytes, unless a name says otherwise. Lives
// and repairs are exponential: a disk has no age. What that leaves out stands in
// docs/redundancy.md.
package fleet
