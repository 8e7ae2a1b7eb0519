package hadoopconf

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Kind is how a value is read.
type Kind uint8

// The kinds. Blank values of all but String count as not set.
const (
	String   Kind = iota // any text
	Int                  // 10, -1, 0x1f
	Bool                 // true or false
	Float                // 0.999, 0.999f
	Size                 // bytes: 512, 64k, 128m, 1g, t, p, e by powers of 1024
	Duration             // 30s, 500ms; ns us ms s m h d; a bare number has the key's Unit
	List                 // a,b,c
)

func (k Kind) String() string {
	return [...]string{"string", "int", "bool", "float", "size", "duration", "list"}[k]
}

// Key is one line of the table.
type Key struct {
	Name    string
	Kind    Kind
	Default string // as one would write it; "" for Int, Bool, Float, Size and Duration is 0
	Doc     string // one line
	// Unit of a Duration without suffix.
	Unit time.Duration
	// Min and Max bound Int, Float, Size and Duration (in Unit); both 0: no bound but
	// that Size and Duration are not negative.
	Min, Max float64
	// OneOf lists the values that a String may have; empty: any.
	OneOf []string
	// Old names that still work.
	Old []string
}

// never is the longest Duration, so short that sums of a few don't wrap.
const never = 50 * 365 * 24 * time.Hour

// parsed is a value in whatever kind it is.
type parsed struct {
	text  string
	num   int64
	float float64
	list  []string
}

// Want says what is allowed, for error texts.
func (k *Key) Want() string {
	var s string
	switch k.Kind {
	case String:
		if len(k.OneOf) > 0 {
			return "one of " + strings.Join(k.OneOf, ", ")
		}
		return "text"
	case Int:
		s = "a whole number"
	case Bool:
		return "true or false"
	case Float:
		s = "a number"
	case Size:
		s = "a size such as 4096, 64k, 128m or 1g"
	case Duration:
		s = fmt.Sprintf("a time such as 500ms, 30s, 10m, 6h or 7d (a bare number counts %s)", unitName(k.Unit))
	case List:
		return "a list a,b,c"
	}
	lo, hi := k.bounds()
	switch {
	case hi < math.Inf(1):
		s += fmt.Sprintf(" from %s to %s", number(lo), number(hi))
	case lo > math.Inf(-1):
		s += " of at least " + number(lo)
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func unitName(u time.Duration) string {
	switch u {
	case time.Millisecond:
		return "milliseconds"
	case time.Minute:
		return "minutes"
	case time.Hour:
		return "hours"
	}
	return "seconds"
}

func (k *Key) bounds() (lo, hi float64) {
	if k.Min == 0 && k.Max == 0 {
		if k.Kind == Size || k.Kind == Duration {
			return 0, math.Inf(1)
		}
		return math.Inf(-1), math.Inf(1)
	}
	if k.Max == 0 {
		return k.Min, math.Inf(1)
	}
	return k.Min, k.Max
}

func (k *Key) within(v float64) bool {
	lo, hi := k.bounds()
	return v >= lo && v <= hi // false for NaN
}

func (k *Key) parse(text string) (v parsed, ok bool) {
	v.text = Trim(text)
	if k.Kind != String && k.Kind != List && v.text == "" {
		return v, true
	}
	var err error
	switch k.Kind {
	case String:
		ok = len(k.OneOf) == 0
		for _, o := range k.OneOf {
			ok = ok || strings.EqualFold(o, v.text)
		}
		return v, ok
	case Int:
		v.num, err = ParseProperty(v.text, 64)
		return v, err == nil && k.within(float64(v.num))
	case Bool:
		if strings.EqualFold(v.text, "true") {
			v.num = 1
		}
		return v, v.num == 1 || strings.EqualFold(v.text, "false")
	case Float:
		v.float, err = ParseFloat(v.text)
		return v, err == nil && k.within(v.float)
	case Size:
		v.num, err = ParseSize(v.text)
		return v, err == nil && k.within(float64(v.num))
	case Duration:
		unit := max(k.Unit, 1)
		d, err := ParseDuration(v.text, unit)
		v.num = int64(min(d, never))
		return v, err == nil && k.within(float64(d)/float64(unit))
	case List:
		v.list = splitList(text)
		return v, true
	}
	return v, false
}

func splitList(text string) (list []string) {
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// WriteHelp prints the table of keys with their defaults and meanings.
func WriteHelp(w io.Writer, keys []Key) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "KEY\tDEFAULT\tMEANING")
	for _, k := range keys {
		def := k.Default
		if def == "" {
			def = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", k.Name, def, k.Doc)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("hadoopconf: %w", err)
	}
	return nil
}
