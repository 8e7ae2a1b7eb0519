//go:build unix && !darwin && !freebsd

package main

import (
	"syscall"
	"time"
)

// accessTime is a file's last access.
func accessTime(sys *syscall.Stat_t) time.Time { return time.Unix(sys.Atim.Unix()) }
