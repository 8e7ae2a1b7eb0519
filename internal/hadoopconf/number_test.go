package hadoopconf

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Hadoop 3.4.3 says of each text: its shell for arguments, its Configuration for
// properties. An empty error means that the number was taken.
func TestNumbersAsHadoopReadsThem(t *testing.T) {
	size := func(s string) (int64, error) { return ParseSize(s) }
	bits := func(n int) func(string) (int64, error) {
		return func(s string) (int64, error) { return ParseInt(s, n) }
	}
	prop := func(n int) func(string) (int64, error) {
		return func(s string) (int64, error) { return ParseProperty(s, n) }
	}
	const prefixes = ". Allowed prefixes are k, m, g, t, p, e(case insensitive)"
	for _, c := range []struct {
		parse func(string) (int64, error)
		text  string
		want  int64
		err   string
	}{
		{size, "17179869184g", 0, "17179869184g does not fit in a Long"},
		{size, "00012", 12, ""},
		{size, "0x1f", 0, "Invalid size prefix 'f' in '0x1f'" + prefixes},
		{size, "0b11", 0, `For input string: "0b11"`},
		{size, "1_000", 0, `For input string: "1_000"`},
		{size, "+7", 7, ""},
		{size, " 8 ", 8, ""},
		{size, "\x015\x02", 5, ""},
		{size, "9 k", 0, `For input string: "9 "`},
		{size, "9K", 9 << 10, ""},
		{size, "k", 0, `For input string: ""`},
		{size, "9223372036854775807", math.MaxInt64, ""},
		{size, "9223372036854775808", 0, `For input string: "9223372036854775808"`},
		{size, "-9223372036854775808", math.MinInt64, ""},
		{size, "-9223372036854775809", 0, `For input string: "-9223372036854775809"`},
		{size, "8e", 0, "8e does not fit in a Long"},
		{size, "7e", 7 << 60, ""},
		{size, "-8e", math.MinInt64, ""},
		{size, "-9e", 0, "-9e does not fit in a Long"},
		{size, "8796093022207m", 8796093022207 << 20, ""},
		{size, "8796093022208m", 0, "8796093022208m does not fit in a Long"},
		{size, "1.5k", 0, `For input string: "1.5"`},
		{size, "5kb", 0, "Invalid size prefix 'b' in '5kb'" + prefixes},
		{size, "\uff15", 5, ""},
		{size, "\u0663k", 3 << 10, ""},
		{size, "5\uff2b", 0, "Invalid size prefix '\uff2b' in '5\uff2b'" + prefixes},
		{size, "5\u212a", 0, "Invalid size prefix '\u212a' in '5\u212a'" + prefixes},
		{size, "\u00a05", 0, "For input string: \"\u00a05\""},
		{size, "\u30005", 0, "For input string: \"\u30005\""},
		{size, "\U0001d7d7k", 0, "For input string: \"\U0001d7d7\""},
		{size, "-", 0, "Invalid size prefix '-' in '-'" + prefixes},
		{bits(16), "03", 3, ""},
		{bits(16), "+2", 2, ""},
		{bits(16), " 3", 0, `For input string: " 3"`},
		{bits(16), "0x3", 0, `For input string: "0x3"`},
		{bits(16), "32767", 32767, ""},
		{bits(16), "32768", 0, `Value out of range. Value:"32768" Radix:10`},
		{bits(16), "99999999999", 0, `For input string: "99999999999"`},
		{bits(32), "2147483647", math.MaxInt32, ""},
		{bits(32), "2147483648", 0, `For input string: "2147483648"`},
		{bits(32), "-2147483648", math.MinInt32, ""},
		{bits(64), "", 0, `For input string: ""`},
		{bits(64), "+", 0, `For input string: "+"`},
		{bits(64), "+-1", 0, `For input string: "+-1"`},
		{bits(64), "1_0", 0, `For input string: "1_0"`},
		{prop(32), "0x2", 2, ""},
		{prop(32), " 2 ", 2, ""},
		{prop(32), "-0X1f", -31, ""},
		{prop(32), "02", 2, ""},
		{prop(32), "", 0, `For input string: ""`},
		{prop(32), "0xzz", 0, `For input string: "zz" under radix 16`},
		{prop(32), "0b10", 0, `For input string: "0b10"`},
		{prop(32), "2k", 0, `For input string: "2k"`},
		{prop(32), "4294967298", 0, `For input string: "4294967298"`},
		{prop(32), "-+5", 0, `For input string: "-+5"`},
		{prop(64), "0x7fffffffffffffff", math.MaxInt64, ""},
	} {
		got, err := c.parse(c.text)
		if c.err != "" {
			require.EqualError(t, err, c.err, "%q", c.text)
			continue
		}
		require.NoError(t, err, "%q", c.text)
		require.Equal(t, c.want, got, "%q", c.text)
	}
}

func TestFractionsAsJavaReadsThem(t *testing.T) {
	for text, want := range map[string]float64{
		"1.5": 1.5, " 0.5 ": 0.5, "1f": 1, "2D": 2, "0x1p3": 8, "0x1p3f": 8, "-1": -1, ".5": 0.5, "5.": 5, "1e3": 1000, "Infinity": math.Inf(1),
	} {
		got, err := ParseFloat(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	nan, err := ParseFloat("NaN")
	require.NoError(t, err)
	require.True(t, math.IsNaN(nan))
	for _, text := range []string{"", "x", "0x1", "5m", "1_0", "0x_1p3", "inf", "nan", "infinity", "f", "1e", "--1", "1ff"} {
		_, err := ParseFloat(text)
		require.Error(t, err, "%q", text)
	}
}

func TestLongDurationsDoNotWrap(t *testing.T) {
	for _, text := range []string{"9223372036854775807", "9223372036854775807d", "107000d"} {
		d, err := ParseDuration(text, time.Millisecond)
		require.NoError(t, err)
		require.Greater(t, d, 100*365*24*time.Hour)
		c := mustLoad(t, map[string]string{"/c/core-site.xml": site()}, "dfs.client.socket-timeout="+text)
		require.Equal(t, never, c.Duration("dfs.client.socket-timeout"))
	}
	for _, text := range []string{"30 s", "1.5s", "0x1s", "1_0s", "s", ""} {
		_, err := ParseDuration(text, time.Second)
		require.Error(t, err, "%q", text)
	}
}
