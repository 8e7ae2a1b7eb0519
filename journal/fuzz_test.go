package journal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever VERSION holds, what is accepted is exactly what would be written.
func FuzzVersion(f *testing.F) {
	f.Add(encodeVersion(cluster))
	f.Add([]byte("layoutVersion=1\nchecksum=00000000\n"))
	f.Add([]byte("layoutVersion=2\n"))
	f.Add([]byte("checksum=="))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeVersion(b)
		if err != nil {
			return
		}
		again, err := decodeVersion(encodeVersion(c))
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
