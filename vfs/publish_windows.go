package vfs

import (
	"io"
	"math/rand/v2"
	"path/filepath"
)

// Publish takes PublishWith's steps: renameio does not know this system.
func (s osFS) Publish(name string, write func(w io.Writer) error) error {
	name = filepath.ToSlash(name)
	return PublishWith(s, name, TempName(name, rand.Uint64()), write)
}
