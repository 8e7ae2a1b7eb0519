package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDrives: paths of Windows keep Hadoop's form inside the shell.
func TestDrives(t *testing.T) {
	for typed, want := range map[string]string{`C:\dir\a`: "/C:/dir/a", "c:/x": "/c:/x", `D:\`: "/D:/"} {
		p, ok := toDrivePath(typed)
		require.True(t, ok, typed)
		require.Equal(t, want, p)
	}
	for _, typed := range []string{"hdfs://nn/x", "file:///x", "C:x", "/C:/x", "1:/x", "a/b:/c", ""} {
		_, ok := toDrivePath(typed)
		require.False(t, ok, typed)
	}
	for path, want := range map[string]string{"/C:/dir/a": `C:\dir\a`, "/c:": `c:\`, "/dir/a": "/dir/a", "/C:x": "/C:x", "rel": "rel"} {
		require.Equal(t, want, fromDrivePath(path))
	}
}
