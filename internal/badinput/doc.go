// Package badinput runs docs/bad-input.md: every line of its tables is a command given to
// the real programs, with what they must say and the exit code they must end with. The
// page is the test, so it can't go out of date.
package badinput
