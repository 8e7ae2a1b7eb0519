// Package interop holds the tests in which foreign clients judge Redoubt: Hadoop's own
// shell and benchmarks, the Go client colinmarc/hdfs and the Rust client hdfs-native
// through its Python wheel. It is a module of its own, so that their dependencies stay
// out of Redoubt's.
package interop
