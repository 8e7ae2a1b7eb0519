package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// megabytes writes a rate of bytes/s as MB/s.
func megabytes(rate float64) string { return short(rate/1e6) + " MB/s" }

// short writes a number with three digits that count.
func short(x float64) string {
	switch a := math.Abs(x); {
	case x == 0:
		return "0"
	case a >= 1e6 || a < 0.001:
		return scientific(x)
	case a >= 100:
		return thousands(strconv.FormatFloat(x, 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

// scientific writes 2.3e7, with no plus and no leading zero in the exponent.
func scientific(x float64) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', 1, 64), "e")
	n, err := strconv.Atoi(exponent)
	if err != nil { // Inf, NaN
		return mantissa
	}
	return mantissa + "e" + strconv.Itoa(n)
}

func thousands(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// seconds writes a time in seconds in the unit that suits it.
func seconds(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 0.001:
		return short(s*1e6) + " us"
	case s < 1:
		return short(s*1e3) + " ms"
	case s < 120:
		return short(s) + " s"
	case s < 2*3600:
		return short(s/60) + " min"
	case s < 72*3600:
		return short(s/3600) + " h"
	}
	return short(s/86400) + " d"
}

// years writes a time in years in the unit that suits it.
func years(y float64) string {
	const second = 1.0 / (365 * 86400)
	if y < 1 {
		return seconds(y / second)
	}
	return short(y) + " years"
}

// size writes bytes with decimal units.
func size(b float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e15, "PB"}, {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if b >= u.of {
			return short(b/u.of) + " " + u.name
		}
	}
	return short(b) + " B"
}

// binary writes bytes with binary units where they are a round number of those.
func binary(b int64) string {
	for _, u := range []struct {
		of   int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if b >= u.of && b%u.of == 0 {
			return fmt.Sprintf("%d %s", b/u.of, u.name)
		}
	}
	return size(float64(b))
}

// percent writes a share of 1 so that what is nearly nothing or nearly all is not rounded to it.
func percent(share float64) string {
	switch p := 100 * share; {
	case p == 0:
		return "0 %"
	case p == 100:
		return "100 %"
	case p > 99.9:
		return ">99.9 %"
	case p < 0.001:
		return scientific(p) + " %"
	default:
		return short(p) + " %"
	}
}

func ratio(x float64) string { return fmt.Sprintf("%.2fx", x) }

// nanos writes seconds per byte as nanoseconds.
func nanos(s float64) string { return short(s*1e9) + " ns" }
