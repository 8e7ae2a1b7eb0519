//go:build darwin || freebsd

package main

import (
	"syscall"
	"time"
)

// accessTime is a file's last access, by the name that the BSDs have for it.
func accessTime(sys *syscall.Stat_t) time.Time { return time.Unix(sys.Atimespec.Unix()) }
