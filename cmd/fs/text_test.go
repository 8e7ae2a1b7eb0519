package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"
)

func textOf(data []byte, name string) (string, error) {
	r, err := decodeText(bytes.NewReader(data), name)
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(r)
	return string(out), err
}

// The Avro files were written by Avro's own library with each codec; records.json is what
// Hadoop's shell prints of them.
func TestTextOfAvro(t *testing.T) {
	want, err := os.ReadFile("testdata/text/records.json")
	require.NoError(t, err)
	for name, want := range map[string]string{"null": string(want), "deflate": string(want), "snappy": string(want), "bzip2": string(want), "empty": "", "longs": "1\n-5\n"} {
		data, err := os.ReadFile(filepath.Join("testdata/text", name+".avro"))
		require.NoError(t, err)
		got, err := textOf(data, "any name")
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

// A damaged Avro file is an error wherever it is cut, and never text of a wrong kind.
func TestTextOfDamagedAvro(t *testing.T) {
	data, err := os.ReadFile("testdata/text/null.avro")
	require.NoError(t, err)
	whole, err := textOf(data, "f")
	require.NoError(t, err)
	blocks := map[string]bool{}
	for n := len(avroMagic); n < len(data); n++ {
		got, err := textOf(data[:n], "f")
		if err == nil {
			blocks[got] = true
			require.Equal(t, whole[:len(got)], got)
		}
	}
	require.Len(t, blocks, 2, "cut behind the header and behind the first block only")
	data[len(data)-1] ^= 1
	_, err = textOf(data, "f")
	require.ErrorContains(t, err, "the marker behind a block is another one")
	_, err = textOf(bytes.Replace(data, []byte(`"int"`), []byte(`"inz"`), 1), "f")
	require.ErrorContains(t, err, `field i of a.b.R: there is no type "a.b.inz"`)
}

func TestTextOfBlockCodecs(t *testing.T) {
	text := make([]byte, 600_000)
	for i := range text {
		text[i] = 'a' + byte(i*7/3%26)
		if i%50 == 49 {
			text[i] = '\n'
		}
	}
	lz4, err := os.ReadFile("testdata/text/t.lz4") // by Hadoop's Lz4Codec
	require.NoError(t, err)
	got, err := textOf(lz4, "t.lz4")
	require.NoError(t, err)
	require.True(t, string(text) == got)
	for _, cut := range []int{3, 7, 100, len(lz4) - 1} {
		_, err = textOf(lz4[:cut], "t.lz4")
		require.Error(t, err, cut)
	}
	piece := snappy.Encode(nil, text[:1000])
	file := append([]byte{0, 0, 3, 232, 0, 0, 0, byte(len(piece))}, piece...)
	require.Less(t, len(piece), 256)
	got, err = textOf(file, "t.snappy")
	require.NoError(t, err)
	require.Equal(t, string(text[:1000]), got)
	file[3]--
	_, err = textOf(file, "t.snappy")
	require.ErrorContains(t, err, "t.snappy: damaged")
}

func TestJavaFloat(t *testing.T) {
	for want, v := range map[string]float64{"1.0E-7": 1e-7, "1.23456789E8": 123456789, "1.0E10": 1e10, "Infinity": math.Inf(1), "-Infinity": math.Inf(-1),
		"NaN": math.NaN(), "0.0": 0, "0.001": 1e-3, "9999999.0": 9999999, "1.0E100": 1e100, "-2.5E-12": -2.5e-12} {
		require.Equal(t, want, javaFloat(v, 64))
	}
	require.Equal(t, "0.1", javaFloat(float64(float32(0.1)), 32))
}

func FuzzAvro(f *testing.F) {
	for _, name := range []string{"null", "deflate", "snappy"} {
		data, err := os.ReadFile(filepath.Join("testdata/text", name+".avro"))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeText(bytes.NewReader(append([]byte(avroMagic), data...)), "f")
		if err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
		}
	})
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte{0x11, 'a', 1, 0, 0x10, 'b'})
	f.Fuzz(func(t *testing.T, data []byte) {
		if out, err := lz4Piece(nil, data); err == nil {
			require.LessOrEqual(t, len(out), 256*len(data)+256)
		}
	})
}
