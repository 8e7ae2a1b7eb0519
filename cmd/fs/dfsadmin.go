package main

import (
	"context"
	"fmt"
)

// runDFSAdmin administers a cluster.
func runDFSAdmin(_ context.Context, e *env, _ []string) int {
	fmt.Fprintln(e.stderr, "dfsadmin: not available yet")
	return exitUsage
}
