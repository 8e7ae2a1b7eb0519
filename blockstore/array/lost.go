package array

import "errors"

// ErrLost is why an array whose members are all its own can't be opened or used: more
// than one of them is lost. A datanode counts such an array as a failed volume, while
// every other error of Open is a mistake in the set-up.
var ErrLost = errors.New("array: more than one member is lost")
