package hadoopconf

import (
	_ "embed" // for the list below
	"strings"
	"sync"
)

// knownText lists Hadoop's keys that mean nothing to any program here, in sections that
// say why: "[reason]", then a key a line, deprecated names among them, and a name that ends
// with * for all that begin so.
//
//go:embed known.txt
var knownText string

// Known is what there is to say about keys of Hadoop's that are not honoured.
type Known struct {
	Reasons  []string            // in the file's order
	Keys     map[string][]string // by reason, in order
	reason   map[string]string
	prefixes map[string]string // by the name before the *
}

// KnownKeys reads the list, once.
var KnownKeys = sync.OnceValue(func() *Known {
	k := &Known{Keys: map[string][]string{}, reason: map[string]string{}, prefixes: map[string]string{}}
	section := ""
	for line := range strings.Lines(knownText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			k.Reasons = append(k.Reasons, section)
			continue
		}
		k.Keys[section] = append(k.Keys[section], line)
		if prefix, ok := strings.CutSuffix(line, "*"); ok {
			k.prefixes[prefix] = section
		} else {
			k.reason[line] = section
		}
	}
	return k
})

// Why tells why a key of Hadoop's has no effect; false if it is not in the list.
func (k *Known) Why(key string) (string, bool) {
	if why, ok := k.reason[key]; ok {
		return why, true
	}
	if rest, ok := strings.CutPrefix(key, "ipc."); ok { // ipc.8020.backoff.enable
		if port, rest, ok := strings.Cut(rest, "."); ok && strings.Trim(port, "0123456789") == "" {
			return k.Why("ipc.[port_number]." + rest)
		}
	}
	for prefix, why := range k.prefixes {
		if strings.HasPrefix(key, prefix) {
			return why, true
		}
	}
	return "", false
}

// Nearest gives the key that a mistyped one most likely stands for, "" if none is near:
// Hadoop's, whether honoured or not, Redoubt's own, and more.
func Nearest(key string, more ...string) string {
	best, at := "", min(3, len(key)/4)+1
	try := func(name string) {
		if d := distance(key, name, at); d < at || d == at && best != "" && name < best {
			best, at = name, d
		}
	}
	for i := range Keys {
		try(Keys[i].Name)
		for _, old := range Keys[i].Old {
			try(old)
		}
	}
	for i := range Refusals {
		try(Refusals[i].Name)
	}
	for name := range KnownKeys().reason {
		try(name)
	}
	for _, name := range more {
		try(name)
	}
	return best
}

// distance counts the letters to be put in, taken out, replaced or swapped with their
// neighbour to make b of a; most+1 if there are more than most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	var before, last, row []int
	for j := 0; j <= len(b); j++ {
		last = append(last, j)
	}
	for i := 1; i <= len(a); i++ {
		row = append(row[:0:0], i)
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}
