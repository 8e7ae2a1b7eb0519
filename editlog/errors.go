package editlog

import (
	"errors"
	"fmt"

	"redoubt/dfs"
)

// ErrNotEditLog says that a file does not begin as an edit log segment does.
var ErrNotEditLog = errors.New("editlog: not an edit log segment (wrong magic)")

// ErrTorn says that a segment ends in a batch that was never whole and that nobody was
// told about. Everything before it is good. Readers return a *TornError, which Is it.
var ErrTorn = errors.New("editlog: torn tail")

// ErrClosed says that a Writer was finished or closed before.
var ErrClosed = errors.New("editlog: writer is closed")

// VersionError says that a segment was written in a format this program can't read.
type VersionError struct {
	Segment string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("editlog: %s: unsupported version %d (this program reads up to %d)", e.Segment, e.Version, Version)
}

// ClusterError says that a segment belongs to another cluster.
type ClusterError struct {
	Segment   string
	Got, Want dfs.ClusterInfo
}

func (e *ClusterError) Error() string {
	return fmt.Sprintf("editlog: %s belongs to cluster %s pool %s namespace %d, not to cluster %s pool %s namespace %d",
		e.Segment, e.Got.ClusterID, e.Got.PoolID, e.Got.NamespaceID,
		e.Want.ClusterID, e.Want.PoolID, e.Want.NamespaceID)
}

// CorruptError says that records which were durable once can't be read any more. It
// wraps a *dfs.Error of kind dfs.Corrupt.
type CorruptError struct {
	Segment string   // path of the file
	Offset  int64    // of the batch or header that is damaged
	TxID    dfs.TxID // first transaction that can't be read
	Durable dfs.TxID // the last one that was durable as far as the file shows; 0 if it doesn't
	Err     error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("editlog: %s: damaged at offset %d, transaction %d: %v", e.Segment, e.Offset, e.TxID, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// TornError tells where a torn tail begins. errors.Is(err, ErrTorn) holds for it.
type TornError struct {
	Segment string
	Offset  int64    // the file is good up to here
	Bytes   int64    // that follow, up to the last one that isn't zero
	TxID    dfs.TxID // the first transaction of the batch that was torn
}

func (e *TornError) Error() string {
	return fmt.Sprintf("editlog: %s: torn tail of %d bytes at offset %d, before transaction %d",
		e.Segment, e.Bytes, e.Offset, e.TxID)
}

// Is makes errors.Is(err, ErrTorn) hold.
func (e *TornError) Is(target error) bool { return target == ErrTorn }

func corrupt(format string, args ...any) error { return dfs.Errorf(dfs.Corrupt, format, args...) }
