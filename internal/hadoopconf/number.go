package hadoopconf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Every number that a user writes, in a configuration, after -D or as an argument, is
// read by the functions of this file. They take what Hadoop takes and nothing else: no
// octal, no binary, no underscores, and what does not fit is an error and never wraps.
// The errors have Hadoop's words, which the shell prints as they are.

// Trim removes what Java's String.trim does: blanks and control characters below U+0021,
// no other white space.
func Trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// ParseInt reads a decimal number of 16, 32 or 64 bits as Java's Short, Integer and Long
// do: one sign at most, then digits, which may be those of any script in the basic plane.
// Blanks are not allowed.
func ParseInt(s string, bits int) (int64, error) {
	if bits == 16 {
		n, err := parseDigits(s, 10, 32)
		if err == nil && n != int64(int16(n)) {
			err = fmt.Errorf("Value out of range. Value:\"%s\" Radix:10", s)
		}
		return n, err
	}
	return parseDigits(s, 10, bits)
}

// ParseProperty reads a property of 32 or 64 bits as Hadoop's getInt and getLong do:
// blanks around the number are nothing, and 0x begins a hexadecimal one.
func ParseProperty(s string, bits int) (int64, error) {
	s = Trim(s)
	sign := ""
	digits, negative := strings.CutPrefix(s, "-")
	if negative {
		sign = "-"
	}
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X") {
		return parseDigits(sign+digits[2:], 16, bits)
	}
	return parseDigits(s, 10, bits)
}

// ParseSize reads bytes, or whatever a limit counts: a 64-bit number, behind which one of
// k, m, g, t, p, e may stand for a power of 1024. Blanks around both are nothing.
func ParseSize(s string) (int64, error) {
	s = Trim(s)
	last, width := utf8.DecodeLastRuneInString(s)
	if width == 0 || digit(last, 10) >= 0 {
		return ParseInt(s, 64)
	}
	i := strings.IndexRune("kmgtpe", last|0x20)
	if last >= utf8.RuneSelf || i < 0 {
		return 0, fmt.Errorf("Invalid size prefix '%c' in '%s'. Allowed prefixes are k, m, g, t, p, e(case insensitive)", last, s)
	}
	n, err := ParseInt(s[:len(s)-1], 64)
	if err != nil {
		return 0, err
	}
	shift := 10 * (i + 1)
	if n > math.MaxInt64>>shift || n < math.MinInt64>>shift {
		return 0, fmt.Errorf("%s does not fit in a Long", s)
	}
	return n << shift, nil
}

// ParseFloat reads a number with a fraction as Java does: it may have an exponent and a
// final f or d; the words are NaN and Infinity. One that is out of range is an error.
func ParseFloat(s string) (float64, error) {
	bad := fmt.Errorf("For input string: \"%s\"", s)
	text := Trim(s)
	// In a hexadecimal number f and d are digits, but not behind the p of its exponent.
	hex, exponent := strings.ContainsAny(text, "xX"), strings.ContainsAny(text, "pP")
	if n := len(text); n > 1 && strings.IndexByte("fFdD", text[n-1]) >= 0 && (!hex || exponent) {
		text = text[:n-1]
	}
	word := strings.TrimLeft(text, "+-")
	if word != "NaN" && word != "Infinity" && (word == "" || strings.ContainsAny(word, "_iInN")) {
		return 0, bad // Go knows more words than Java
	}
	f, err := strconv.ParseFloat(text, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, bad
	}
	return f, err
}

// durationUnits in the order in which their suffixes must be tried.
var durationUnits = []struct {
	suffix string
	unit   time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"ms", time.Millisecond},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
}

// ParseDuration reads a time: a 64-bit number with a unit behind it, or in the unit given.
// What does not fit 292 years means "never": Hadoop's own defaults use Long.MAX_VALUE so.
func ParseDuration(s string, unit time.Duration) (time.Duration, error) {
	text := strings.ToLower(Trim(s))
	for _, u := range durationUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, unit = rest, u.unit
			break
		}
	}
	n, err := ParseInt(text, 64)
	switch {
	case err != nil:
		return 0, err
	case n > math.MaxInt64/int64(unit):
		return math.MaxInt64, nil
	case n < math.MinInt64/int64(unit):
		return math.MinInt64, nil
	}
	return time.Duration(n) * unit, nil
}

// parseDigits is Java's parseLong with a radix and fewer bits.
func parseDigits(s string, radix, bits int) (int64, error) {
	bad := fmt.Errorf("For input string: \"%s\"", s)
	if radix != 10 {
		bad = fmt.Errorf("For input string: \"%s\" under radix %d", s, radix)
	}
	negative := strings.HasPrefix(s, "-")
	digits := s
	if negative || strings.HasPrefix(s, "+") {
		digits = s[1:]
	}
	if digits == "" {
		return 0, bad
	}
	limit := uint64(1)<<(bits-1) - 1
	if negative {
		limit++
	}
	var n uint64
	for _, r := range digits {
		d := digit(r, radix)
		if d < 0 || n > (limit-uint64(d))/uint64(radix) {
			return 0, bad
		}
		n = n*uint64(radix) + uint64(d)
	}
	if negative {
		return -int64(n), nil // right for the least number too
	}
	return int64(n), nil
}

// digit is Java's Character.digit for one char: digits of all scripts in the basic plane
// and, where the radix has them, letters in both widths; -1 for anything else.
func digit(r rune, radix int) int {
	d := -1
	switch {
	case r >= '0' && r <= '9':
		d = int(r - '0')
	case r >= 'a' && r <= 'z':
		d = int(r-'a') + 10
	case r >= 'A' && r <= 'Z':
		d = int(r-'A') + 10
	case r >= 'ａ' && r <= 'ｚ':
		d = int(r-'ａ') + 10
	case r >= 'Ａ' && r <= 'Ｚ':
		d = int(r-'Ａ') + 10
	case r >= 0x80 && r <= 0xffff:
		for _, t := range unicode.Nd.R16 { // blocks of ten
			if rune(t.Lo) <= r && r <= rune(t.Hi) {
				d = int(r-rune(t.Lo)) % 10
			}
		}
	}
	if d >= radix {
		return -1
	}
	return d
}
