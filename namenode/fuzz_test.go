package namenode

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseStaticGroups: what is accepted names its users and groups once and cleanly, and
// says the same when it is written out and read again.
func FuzzParseStaticGroups(f *testing.F) {
	for _, s := range []string{"", ";", "alice=staff,ops;bob=;carol", " a = b , c ; ", "a=b;a=c", "=x", "a=b=c", "a=,,b,", "\n;x=\ty"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		table, err := ParseStaticGroups(spec)
		if err != nil {
			require.Nil(t, table)
			require.ErrorContains(t, err, "namenode: group mapping")
			return
		}
		var again []string
		for _, user := range slices.Sorted(maps.Keys(table)) {
			require.NotEmpty(t, user)
			for _, word := range append([]string{user}, table[user]...) {
				require.Equal(t, strings.TrimSpace(word), word)
				require.NotContains(t, word, ";")
				require.NotContains(t, word, "=")
			}
			for _, group := range table[user] {
				require.NotEmpty(t, group)
				require.NotContains(t, group, ",")
			}
			again = append(again, user+"="+strings.Join(table[user], ","))
		}
		same, err := ParseStaticGroups(strings.Join(again, ";"))
		require.NoError(t, err)
		require.Equal(t, table, same)
	})
}

// FuzzParseHosts: names are words without comments, and case and line ends do not count.
func FuzzParseHosts(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", "# all of it\n", "A # rest\r\nb:9866", "a b\tc", "#", "\n\n", strings.Repeat("x", 70_000) + "\nlast"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := parseHosts(text)
		for name := range set {
			require.NotEmpty(t, name)
			require.Equal(t, []string{name}, strings.Fields(name))
			require.NotContains(t, name, "#")
		}
		words := strings.Join(slices.Collect(maps.Keys(set)), " ")
		require.Equal(t, len(set), len(parseHosts(words)), "one a line or all on one is the same")
		require.Equal(t, set, parseHosts(strings.ReplaceAll(text, "\n", "\r\n")))
	})
}
