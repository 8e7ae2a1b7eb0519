//go:build unix

package netlimit

import "syscall"

// openFiles is how many files this process may have open.
func openFiles() (n uint64, ok bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
