package blockstore

import (
	"context"

	"redoubt/dfs"
)

// Store is one datanode's replicas. Its methods may be called at the same time.
//
// Errors are *dfs.Error: ReplicaNotFound, AlreadyExists, NoSpace, Corrupt (checksums),
// IllegalState (wrong state, stamp or length), RecoveryInProgress, or Other with the
// disk's error inside.
type Store struct{}

// Open opens the volumes, formats fresh ones, and finds their replicas. A volume that
// can't be used because of an I/O error is left out and shows in Volumes; a volume that
// is locked, of another cluster, or of another datanode makes Open fail.
func Open(cfg Config) (*Store, error) { panic("soon") }

// Close stops all writers, leaves their replicas as they are on disk, and unlocks the volumes.
func (s *Store) Close() error { panic("soon") }

// UUID is the datanode's, the same on every volume.
func (s *Store) UUID() string { panic("soon") }

// Volumes describes all volumes in the order of the configuration, failed ones too.
func (s *Store) Volumes() []VolumeState { panic("soon") }

// Usable gives an error once more volumes have failed than are tolerated.
func (s *Store) Usable() error { panic("soon") }

// Get describes a replica.
func (s *Store) Get(id dfs.BlockID) (Replica, bool) { panic("soon") }

// Replicas lists a volume's replicas for a full block report, by block id. Temporary
// ones are left out; RUR replicas show the state they had before.
func (s *Store) Replicas(storage string) []Replica { panic("soon") }

// CreateOptions says what to create.
type CreateOptions struct {
	Block            dfs.Block        // id and stamp; the length is not used
	Temporary        bool             // a copy in the making instead of a pipeline's replica
	Type             dfs.StorageType  // medium; 0 any
	Storage          string           // preferred volume; may be ""
	Expected         int64            // bytes that will come, for which there must be room
	Checksum         dfs.ChecksumType // 0 is CRC32C
	BytesPerChecksum int              // 0 is dfs.BytesPerChecksum
}

// Create begins a new replica (pipeline stage 6, or a transfer with Temporary).
func (s *Store) Create(o CreateOptions) (*Writer, error) { panic("soon") }

// Append reopens a finalized replica of exactly length bytes under a new stamp, which
// may be the old one (stage 0).
func (s *Store) Append(b dfs.Block, newStamp dfs.GenStamp, length int64) (*Writer, error) {
	panic("soon")
}

// RecoverAppend is Append for a replica that may be being written already (stage 1).
func (s *Store) RecoverAppend(b dfs.Block, newStamp dfs.GenStamp, length int64) (*Writer, error) {
	panic("soon")
}

// RecoverWriter takes over a being-written replica after its pipeline broke (stage 3):
// the old writer is stopped; what was acknowledged must reach minBytes, what was
// received must not exceed maxBytes; the replica is cut to what was acknowledged. A
// finalized replica of a fitting length is reopened.
func (s *Store) RecoverWriter(b dfs.Block, newStamp dfs.GenStamp, minBytes, maxBytes int64) (*Writer, error) {
	panic("soon")
}

// RecoverClose finalizes a replica of exactly length bytes under a new stamp (stage 5).
func (s *Store) RecoverClose(b dfs.Block, newStamp dfs.GenStamp, length int64) (Replica, error) {
	panic("soon")
}

// InitRecovery stops the replica's writer and puts it under recovery. It tells the
// replica as it is, in the state it had.
func (s *Store) InitRecovery(b dfs.Block, recovery dfs.GenStamp) (Replica, error) { panic("soon") }

// UpdateReplica ends a recovery: the replica, which must still be as InitRecovery told,
// is cut to newLength, gets the recovery id as its stamp and is finalized.
func (s *Store) UpdateReplica(b dfs.Block, recovery dfs.GenStamp, newLength int64) (Replica, error) {
	panic("soon")
}

// Invalidate removes a replica whose stamp is not newer than b's. A replica that was
// found damaged is set aside instead. One that is not there is no error.
func (s *Store) Invalidate(b dfs.Block) error { panic("soon") }

// ReadOptions says what to read.
type ReadOptions struct {
	Block  dfs.Block // the replica's stamp must not be older
	Offset int64
	Length int64
	Verify bool // check the checksums while reading, for clients that get none
}

// OpenReader opens a replica, finalized or being written, for reading a range. It waits
// until a writer has brought the range's end, ctx ends, or no writer is left.
func (s *Store) OpenReader(ctx context.Context, o ReadOptions) (*Reader, error) { panic("soon") }

// BlockChecksum is the digest of a replica's first length bytes.
type BlockChecksum struct {
	Type              dfs.ChecksumType
	BytesPerChecksum  int
	ChecksumsPerBlock int64
	Sum               []byte // MD5 of the chunk checksums, or big-endian CRCs
}

// MD5 digests the chunk checksums of the first length bytes; b.Length if length < 0.
func (s *Store) MD5(ctx context.Context, b dfs.Block, length int64) (BlockChecksum, error) {
	panic("soon")
}

// CompositeCRC combines the chunk checksums of the first length bytes into the CRC of
// the bytes themselves, or into one CRC for every stripe bytes if stripe > 0.
func (s *Store) CompositeCRC(ctx context.Context, b dfs.Block, length, stripe int64) (BlockChecksum, error) {
	panic("soon")
}

// Verify reads a whole replica and compares it with its checksums. Damage is a Corrupt
// error and reported to OnBad.
func (s *Store) Verify(ctx context.Context, id dfs.BlockID) error { panic("soon") }

// ScrubStats counts what a scrub has seen.
type ScrubStats struct{ Replicas, Bytes, Bad int64 }

// Scrub verifies every finalized replica once. Before each piece it calls wait with the
// number of bytes to read, which holds the pace. Damage goes to OnBad.
func (s *Store) Scrub(ctx context.Context, wait func(ctx context.Context, bytes int) error) (ScrubStats, error) {
	panic("soon")
}

// Writer adds bytes to a replica. Write, Sync, Finalize, ToRBW and Close are called by
// one goroutine; the others by any.
type Writer struct{}

// Block is the replica's id, stamp and received length.
func (w *Writer) Block() dfs.Block { panic("soon") }

// Storage is the id of the replica's volume.
func (w *Writer) Storage() string { panic("soon") }

// Checksum tells kind and chunk size of the replica's checksums.
func (w *Writer) Checksum() (dfs.ChecksumType, int) { panic("soon") }

// Write stores a packet's data at offset. sums has four bytes, big-endian, for each
// chunk; with verified they have been checked against data already. What is already
// there is dropped. A mismatch is a Corrupt error and stores nothing. After an I/O
// error the writer is broken for good.
func (w *Writer) Write(offset int64, data, sums []byte, verified bool) error { panic("soon") }

// Sync makes everything written so far durable.
func (w *Writer) Sync() error { panic("soon") }

// SetAcked moves the length that readers may see, as far as bytes have been received.
func (w *Writer) SetAcked(n int64) { panic("soon") }

// Finalize makes the replica durable and complete. The writer is closed.
func (w *Writer) Finalize() (Replica, error) { panic("soon") }

// ToRBW turns a temporary replica into a being-written one whose bytes count as
// acknowledged, durable, and closes the writer: the end of a transfer of an open block.
func (w *Writer) ToRBW() (Replica, error) { panic("soon") }

// Close ends the writer without finalizing. A temporary replica is removed, a
// being-written one stays. After Finalize or ToRBW it does nothing.
func (w *Writer) Close() error { panic("soon") }

// Stopped is closed when somebody else takes over the replica: a recovery, a new
// writer, a deletion, the failure of the volume, or Close of the store.
func (w *Writer) Stopped() <-chan struct{} { panic("soon") }

// Reader reads a range of a replica. It is used by one goroutine. It goes on through a
// concurrent finalize, append or removal of the replica.
type Reader struct{}

// Replica describes the replica when it was opened.
func (r *Reader) Replica() Replica { panic("soon") }

// Checksum tells kind and chunk size.
func (r *Reader) Checksum() (dfs.ChecksumType, int) { panic("soon") }

// Start is the chunk boundary at or below the offset asked for.
func (r *Reader) Start() int64 { panic("soon") }

// End is where reading ends: rounded up to a chunk, or what may be seen.
func (r *Reader) End() int64 { panic("soon") }

// Read fills data, whose length must be a multiple of the chunk size, and sums (four
// bytes for each chunk; nil if not wanted) with what comes next and returns the number
// of data bytes: whole chunks but for the last. At the end it returns 0 and io.EOF.
func (r *Reader) Read(data, sums []byte) (int, error) { panic("soon") }

// Close closes the files.
func (r *Reader) Close() error { panic("soon") }
