// Package killtest runs a cluster of real processes under load and kills them with
// SIGKILL, one after another, while an oracle remembers what was acknowledged. It is a
// test and has no code of its own to import; see kill_test.go for the loop and
// oracle_test.go for what may be true afterwards.
package killtest
