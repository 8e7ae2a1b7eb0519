package main

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// binarySize shows a number with a binary prefix, without decimals where it is a whole
// multiple: 2048 is "2 K", 1536 with one decimal "1.5 K". unit follows the prefix.
func binarySize(n int64, unit string, decimals int) string {
	const prefixes = "KMGTPE"
	sign := ""
	if n < 0 {
		if n == math.MinInt64 {
			return "-8 E" + unit
		}
		sign, n = "-", -n
	}
	if n < 1024 {
		return strings.TrimSuffix(sign+strconv.FormatInt(n, 10)+" "+unit, " ")
	}
	i := (bits.Len64(uint64(n)) - 1) / 10
	if n&(1<<(10*i)-1) == 0 {
		return fmt.Sprintf("%s%d %c%s", sign, n>>(10*i), prefixes[i-1], unit)
	}
	text := strconv.FormatFloat(float64(n)/float64(int64(1)<<(10*i)), 'f', decimals, 64)
	if strings.HasPrefix(text, "1024") && i < len(prefixes) {
		i++
		text = strconv.FormatFloat(float64(n)/math.Exp2(float64(10*i)), 'f', decimals, 64)
	}
	return fmt.Sprintf("%s%s %c%s", sign, text, prefixes[i-1], unit)
}

// shortSize is how ls -h, du -h and count -h show sizes.
func shortSize(n int64) string { return binarySize(n, "", 1) }

// javaMinutes shows a time in ms as ls does.
func javaMinutes(ms int64, zone *time.Location) string {
	return time.UnixMilli(ms).In(zone).Format("2006-01-02 15:04")
}

// utcSeconds shows a time in ms as stat does.
func utcSeconds(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05")
}

// pad fills s with blanks to width characters, on the left unless left-aligned.
func pad(s string, width int, leftAlign bool) string {
	n := width - len([]rune(s))
	if n <= 0 {
		return s
	}
	if leftAlign {
		return s + strings.Repeat(" ", n)
	}
	return strings.Repeat(" ", n) + s
}

// printable shows a name with everything that a terminal would not print replaced by a
// question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 0x7f || r < ' ' || r >= 0x80 && r < 0xa0 || !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// table lays out rows in columns as du and df do: two blanks between columns, the last
// one without trailing blanks.
type table struct {
	rightAlign []bool
	rows       [][]string
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

func (t *table) String() string {
	if len(t.rows) == 0 {
		return ""
	}
	widths := make([]int, len(t.rightAlign))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		for i, c := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			last := i == len(row)-1
			if last && !t.rightAlign[i] {
				b.WriteString(c)
			} else {
				b.WriteString(pad(c, widths[i], !t.rightAlign[i]))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
