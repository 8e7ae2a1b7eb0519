package damage

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

var long = flag.Bool("damage.long", false, "damage every byte, sector and record, not a selection of them")

var show = flag.Bool("damage.show", false, "tell of every case what was said")

// How a case ended.
type outcome string

const (
	harmless outcome = "harmless" // nothing acknowledged is missing, and nothing had to be done
	repaired outcome = "repaired" // nothing is missing, and the log tells what was done
	refused  outcome = "refused"  // it is not used, and an error names the file and the place
	reported outcome = "reported" // the bytes are not given out: readers get an error and the name node is told
	lost     outcome = "lost"     // acknowledged data is gone and the log says so: only what HDFS loses too
	silent   outcome = "SILENT"   // acknowledged data is missing or different, and nobody said a word
	vague    outcome = "VAGUE"    // refused, but the error doesn't name the file or the place
)

var outcomes = []outcome{harmless, repaired, refused, reported, lost, vague, silent}

// table counts cases by kind of file, damage and number of copies.
type table struct {
	mu     sync.Mutex
	counts map[string]map[outcome]int
	order  []string
	total  map[outcome]int
}

func newTable() *table {
	return &table{counts: map[string]map[outcome]int{}, total: map[outcome]int{}}
}

func (tb *table) add(copies int, kind, damage string, o outcome) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	row := fmt.Sprintf("%-22s | %-16s | %d", kind, damage, copies)
	if tb.counts[row] == nil {
		tb.counts[row] = map[outcome]int{}
		tb.order = append(tb.order, row)
	}
	tb.counts[row][o]++
	tb.total[o]++
}

func (tb *table) print(t *testing.T) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	var b strings.Builder
	head := fmt.Sprintf("| %-22s | %-16s | copies", "file", "damage")
	for _, o := range outcomes {
		head += fmt.Sprintf(" | %8s", o)
	}
	fmt.Fprintf(&b, "\n%s |\n", head)
	line := func(name string, counts map[outcome]int) {
		fmt.Fprintf(&b, "| %s     ", name)
		for _, o := range outcomes {
			fmt.Fprintf(&b, " | %8d", counts[o])
		}
		b.WriteString(" |\n")
	}
	slices.SortStableFunc(tb.order, func(a, b string) int {
		return strings.Compare(a[:22]+a[len(a)-1:]+a, b[:22]+b[len(b)-1:]+b)
	})
	byKind, kinds := map[string]map[outcome]int{}, []string(nil)
	for _, row := range tb.order {
		line(row, tb.counts[row])
		kind := row[:25] + fmt.Sprintf("%-16s | ", "all of them") + row[len(row)-1:]
		if byKind[kind] == nil {
			byKind[kind] = map[outcome]int{}
			kinds = append(kinds, kind)
		}
		for o, n := range tb.counts[row] {
			byKind[kind][o] += n
		}
	}
	for _, kind := range kinds {
		line(kind, byKind[kind])
	}
	line(fmt.Sprintf("%-22s | %-16s |  ", "all", ""), tb.total)
	t.Log(b.String())
	for _, never := range []outcome{silent, vague} {
		if tb.total[never] > 0 {
			t.Errorf("%s: %d", never, tb.total[never])
		}
	}
}
