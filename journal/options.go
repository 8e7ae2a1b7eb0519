package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"redoubt/dfs"
	"redoubt/vfs"
)

// Options say where a journal lives and when it takes checkpoints. FS, Dirs and
// Machine are required; every other field's zero value is a working default.
type Options struct {
	FS   vfs.FS
	Dirs []string // name directories; each holds a whole copy
	// EditsDirs, if there are any, hold the log instead of Dirs, which then hold images only;
	// a directory may stand in both lists.
	EditsDirs []string
	Machine   Machine

	// Lock is held while a batch is applied and while a snapshot is taken; readers of
	// the machine hold it shared. Nil: nobody else reads the machine.
	Lock sync.Locker

	// Cluster, when its ClusterID is set, must be the one the directories were
	// formatted with.
	Cluster dfs.ClusterInfo

	CheckpointTxns     int64         // checkpoint after so many transactions; 0: 1,000,000; < 0: never by count
	CheckpointInterval time.Duration // checkpoint after so long, if anything was logged; 0: one hour; < 0: never by time
	CheckpointParallel int           // goroutines that encode an image while clients write; 0: 1
	NoFinalCheckpoint  bool          // Close only seals the log
	// AllowMissing starts although a directory can't be read. It may be the only one that
	// went on when the others were dropped, so without it that is an error: whoever knows
	// better leaves the directory out of Dirs.
	AllowMissing bool
	Retain       int // images kept in each directory; 0: 2

	DigestEvery int   // transactions between digest marks in the log; 0: 10,000; < 0: none
	MaxBatch    int   // transactions in one batch; 0: 8192
	FillChunk   int64 // bytes of zeroes written ahead of the log's end; 0: 1 MiB; < 0: none

	// IdlePromise is how long nothing must be proposed before the last batch is
	// promised, so that its damage is told from a torn tail. 0: 100 ms; < 0: never.
	IdlePromise time.Duration

	Logger  *slog.Logger // nil: no log
	OnFatal func(error)  // called once, on a goroutine of its own that Close doesn't wait for, when the journal stopped for good
}

// Defaults of the zero Options.
const (
	DefaultCheckpointTxns     = 1_000_000
	DefaultCheckpointInterval = time.Hour
	DefaultRetain             = 2
	DefaultDigestEvery        = 10_000
	DefaultMaxBatch           = 8192
	DefaultIdlePromise        = 100 * time.Millisecond
)

// Validate names every fault of the options.
func (o *Options) Validate() error {
	var errs []error
	if o.FS == nil {
		errs = append(errs, errors.New("journal: Options.FS is missing"))
	}
	if o.Machine == nil {
		errs = append(errs, errors.New("journal: Options.Machine is missing"))
	}
	errs = append(errs, validateDirs(o.Dirs), validateEdits(o.EditsDirs))
	if o.Retain < 0 {
		errs = append(errs, fmt.Errorf("journal: Options.Retain is %d", o.Retain))
	}
	if o.CheckpointParallel < 0 {
		errs = append(errs, fmt.Errorf("journal: Options.CheckpointParallel is %d", o.CheckpointParallel))
	}
	if o.MaxBatch < 0 {
		errs = append(errs, fmt.Errorf("journal: Options.MaxBatch is %d", o.MaxBatch))
	}
	return errors.Join(errs...)
}

func validateDirs(dirs []string) error {
	if len(dirs) == 0 {
		return errors.New("journal: no name directory is given")
	}
	return validateEdits(dirs)
}

// validateEdits is validateDirs for a list that may be empty.
func validateEdits(dirs []string) error {
	seen := make(map[string]bool, len(dirs))
	for _, d := range dirs {
		if d == "" {
			return errors.New("journal: a name directory is empty")
		}
		if seen[d] {
			return fmt.Errorf("journal: name directory %s is given twice", d)
		}
		seen[d] = true
	}
	return nil
}

// withDefaults gives a copy with every zero replaced.
func (o Options) withDefaults() Options {
	if o.Lock == nil {
		o.Lock = new(sync.Mutex)
	}
	if o.CheckpointTxns == 0 {
		o.CheckpointTxns = DefaultCheckpointTxns
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = DefaultCheckpointInterval
	}
	if o.CheckpointParallel == 0 {
		o.CheckpointParallel = 1
	}
	if o.Retain == 0 {
		o.Retain = DefaultRetain
	}
	if o.DigestEvery == 0 {
		o.DigestEvery = DefaultDigestEvery
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = DefaultMaxBatch
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IdlePromise == 0 {
		o.IdlePromise = DefaultIdlePromise
	}
	return o
}
