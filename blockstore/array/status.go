package array

import "time"

// State of a member.
type State uint8

// The states of a member. Their numbers stand in superblocks.
const (
	Active     State = 1 // holds all that it should
	Failed     State = 2 // lost, stale or broken: not used
	Rebuilding State = 3 // takes part in writes, and is being filled with the rest
)

// String names a state.
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Failed:
		return "failed"
	case Rebuilding:
		return "rebuilding"
	}
	return "unknown"
}

// MemberStatus describes a member.
type MemberStatus struct {
	Place int // 0 to n-1; its column in the layout
	Dir   string
	State State
	Err   error // why it failed, if it is known
}

// Progress of a rebuild. Bytes are those written to the new member.
type Progress struct {
	Dir        string // of the new member; "" if no rebuild is under way
	Place      int
	Files      int // rebuilt so far
	TotalFiles int
	Bytes      int64
	TotalBytes int64 // as known when it began or went on
	Started    time.Time
	Err        error // why it stands still; nil while it runs
}

// Status describes an array. Sizes are in bytes.
type Status struct {
	ID       string
	Unit     int64
	Events   uint64 // counts the changes of membership
	Members  []MemberStatus
	Spares   []string // that stand ready
	Degraded bool     // a member is missing or not rebuilt yet
	Lost     bool     // more than one is: nothing can be written, and not all be read
	Rebuild  Progress
	Capacity int64 // for data, without parity
	Free     int64
	Files    int
	Repaired int64 // units made new since the start
	Damaged  int64 // stripes seen since the start that could not be
}

// Report is the outcome of Verify.
type Report struct {
	Files    int
	Stripes  int64
	Bytes    int64 // read from members
	Repaired int64 // units that were bad and are made new
	// Damaged lists stripes of which more than one unit is bad, or where nothing tells
	// which one is. Nothing was changed about them.
	Damaged []Damage
}

// Damage is a stripe that can't be repaired.
type Damage struct {
	File   string // one of its names
	Stripe int64
	Offset int64 // in the file, of the stripe's first byte
	Err    error
}
