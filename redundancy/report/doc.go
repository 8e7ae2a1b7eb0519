// Package report shows a comparison of redundancy: as a table for a terminal, as CSV and
// JSON for other programs, as tables for a document, and as one HTML page with charts. It
// draws from package result what was measured on a live cluster, and from package fleet what
// that is worth over years; either may be missing.
//
// The page needs nothing but itself: no script, no font and no picture from elsewhere. Charts
// are SVG, made here; each has a title and a description, and behind each stands a table with
// the same numbers. Colours follow the reader's preference for light or dark.
package report
