package main

import (
	"syscall"
	"time"
)

// accessTime is a file's last access as macOS tells it.
func accessTime(sys *syscall.Stat_t) time.Time { return time.Unix(sys.Atimespec.Unix()) }
