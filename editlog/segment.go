package editlog

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/vfs"
)

const (
	segmentPrefix    = "edits_"
	inProgressPrefix = "edits_inprogress_"
	txDigits         = 19 // as HDFS names them
)

// Segment is one segment file of a directory, as its name tells it.
type Segment struct {
	Name       string
	First      dfs.TxID
	Last       dfs.TxID // 0 while in progress
	InProgress bool
	Size       int64 // bytes, zeroes ahead of the writer included
}

// InProgressName is the name of a segment while it is written.
func InProgressName(first dfs.TxID) string {
	return fmt.Sprintf("%s%0*d", inProgressPrefix, txDigits, uint64(first))
}

// FinishedName is the name of a segment that holds exactly first to last.
func FinishedName(first, last dfs.TxID) string {
	return fmt.Sprintf("%s%0*d-%0*d", segmentPrefix, txDigits, uint64(first), txDigits, uint64(last))
}

// ParseName reads a segment's name. ok is false for any other file.
func ParseName(name string) (seg Segment, ok bool) {
	if rest, found := strings.CutPrefix(name, inProgressPrefix); found {
		first, ok := parseTx(rest)
		return Segment{Name: name, First: first, InProgress: true}, ok
	}
	rest, found := strings.CutPrefix(name, segmentPrefix)
	if !found {
		return Segment{}, false
	}
	a, b, found := strings.Cut(rest, "-")
	first, ok1 := parseTx(a)
	last, ok2 := parseTx(b)
	if !found || !ok1 || !ok2 || last < first {
		return Segment{}, false
	}
	return Segment{Name: name, First: first, Last: last}, true
}

func parseTx(s string) (dfs.TxID, bool) {
	if len(s) < txDigits || (len(s) > txDigits && s[0] == '0') {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return dfs.TxID(n), err == nil && n > 0
}

// List gives a directory's segments by first transaction; a finished one comes before
// one in progress that begins alike. Files of other names are not looked at.
func List(fs vfs.FS, dir string) ([]Segment, error) {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("editlog: list: %w", err)
	}
	var segs []Segment
	for _, e := range entries {
		if seg, ok := ParseName(e.Name); ok && !e.Dir {
			seg.Size = e.Size
			segs = append(segs, seg)
		}
	}
	sort.SliceStable(segs, func(i, j int) bool {
		if segs[i].First != segs[j].First {
			return segs[i].First < segs[j].First
		}
		return !segs[i].InProgress && segs[j].InProgress
	})
	return segs, nil
}
