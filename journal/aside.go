package journal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"strings"

	"redoubt/vfs"
)

// What a file's name gets when it is set aside. Nothing reads such files again; nothing
// removes them either.
const (
	corruptSuffix = ".corrupt" // damaged
	staleSuffix   = ".stale"   // good, but of a past that other directories went on from
)

// setAside renames name in dir to name+suffix, with a number if that is taken.
func setAside(fs vfs.FS, dir, name, suffix string) error {
	to := name + suffix
	for i := 1; ; i++ {
		_, err := fs.Stat(path.Join(dir, to))
		if errors.Is(err, iofs.ErrNotExist) {
			break
		}
		if err != nil {
			return fmt.Errorf("journal: set aside: %w", err)
		}
		to = fmt.Sprintf("%s%s.%d", name, suffix, i)
	}
	err := fs.Rename(path.Join(dir, name), path.Join(dir, to))
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("journal: set aside: %w", err)
	}
	return nil
}

// copyFile publishes a copy of a file that doesn't change any more.
func copyFile(fs vfs.FS, fromDir, toDir, name string) error {
	file, err := fs.Open(path.Join(fromDir, name))
	if err != nil {
		return fmt.Errorf("journal: copy: %w", err)
	}
	defer file.Close()
	size, err := file.Size()
	if err == nil {
		err = fs.Publish(path.Join(toDir, name), func(w io.Writer) error {
			_, err := io.CopyBuffer(onlyWriter{w}, io.NewSectionReader(file, 0, size), make([]byte, 1<<20))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("journal: copy %s to %s: %w", name, toDir, err)
	}
	return nil
}

// onlyWriter hides a writer's other methods, so that copies go through our buffer.
type onlyWriter struct{ io.Writer }

// sweep removes what a crash left of unfinished publications.
func sweep(fs vfs.FS, dir string) error {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	bases := []string{versionFile, watermarkFile, formattingFile, "fsimage_", "edits_inprogress_"}
	const finished = len("edits_0000000000000000001-")
	for _, e := range entries {
		// Copies of finished segments: .edits_FIRST-LASTnnn. LAST is all digits too.
		if strings.HasPrefix(e.Name, ".edits_") && len(e.Name) > 1+finished {
			bases = append(bases, e.Name[1:1+finished])
		}
	}
	if err := vfs.SweepTemp(fs, dir, bases...); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func exists(fs vfs.FS, dir, name string) (bool, error) {
	_, err := fs.Stat(path.Join(dir, name))
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
