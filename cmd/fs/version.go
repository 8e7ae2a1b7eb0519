package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// runVersion prints what this program is and what it was built from.
func runVersion(_ context.Context, e *env, _ []string) int {
	version, revision, dirty := "(devel)", "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = " (modified)"
			}
		}
	}
	fmt.Fprintf(e.stdout, "Redoubt %s\nSource revision %s%s\nBuilt with %s for %s/%s\n",
		version, revision, dirty, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return 0
}
