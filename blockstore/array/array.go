package array

import (
	"context"
	"errors"

	"redoubt/vfs"
)

// Array is a file system over several directories of which any one may be lost. Its
// root is "/". Its methods may be called at the same time.
//
// What was written and not synced may be gone after the end of just the process, not
// only after a power cut.
type Array struct {
	vfs.FS // replaced by methods
}

var errNotYet = errors.New("array: not finished")

// Open opens an array, or makes a fresh one if all its directories are missing or empty.
// It goes on with a rebuild that was under way. With one member missing, stale or
// damaged it opens degraded; with more than one, or with a directory that belongs to
// another array, it fails, names the directory, and changes nothing.
func Open(c Config) (*Array, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return nil, errNotYet
}

// Close ends a rebuild (it goes on at the next Open), makes names durable and gives the
// directories free. Open files become useless.
func (a *Array) Close() error { return errNotYet }

// Status describes the array.
func (a *Array) Status() Status { return Status{} }

// Replace puts the directory next, missing or empty, in the place of the member old,
// which may have failed or not, and starts the rebuild; it returns when the new member
// takes part in writes and a restart would go on with the rebuild. A directory too small,
// not empty, nested in another member, or of another array is refused.
func (a *Array) Replace(old, next string) error { return errNotYet }

// ReplaceWith is Replace by a directory on a file system of its own.
func (a *Array) ReplaceWith(old string, next Member) error { return errNotYet }

// WaitRebuild waits until no rebuild is under way and tells how the last one ended.
func (a *Array) WaitRebuild(ctx context.Context) error { return errNotYet }

// Verify reads every stripe with its checksums and parity. A unit that alone is bad is
// made new from the others; stripes with more damage than that are reported and left as
// they are. It runs beside readers and writers.
func (a *Array) Verify(ctx context.Context) (Report, error) { return Report{}, errNotYet }
