package fsimage

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/vfs"
)

const (
	namePrefix = "fsimage_"
	txDigits   = 19 // as HDFS names them

	// CorruptSuffix is what a damaged file's name gets when it is set aside.
	CorruptSuffix = ".corrupt"
)

// Image is one image file of a directory, as its name tells it.
type Image struct {
	Name string
	TxID dfs.TxID
	Size int64
}

// Name is the name of the image of the state after txid.
func Name(txid dfs.TxID) string {
	return fmt.Sprintf("%s%0*d", namePrefix, txDigits, uint64(txid))
}

// ParseName reads an image's name. ok is false for any other file.
func ParseName(name string) (txid dfs.TxID, ok bool) {
	s, found := strings.CutPrefix(name, namePrefix)
	if !found || len(s) < txDigits || (len(s) > txDigits && s[0] == '0') || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return dfs.TxID(n), err == nil
}

// List gives a directory's images, newest first. Files of other names are not looked at.
func List(fs vfs.FS, dir string) ([]Image, error) {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("fsimage: list: %w", err)
	}
	var list []Image
	for _, e := range entries {
		if tx, ok := ParseName(e.Name); ok && !e.Dir {
			list = append(list, Image{Name: e.Name, TxID: tx, Size: e.Size})
		}
	}
	slices.SortFunc(list, func(a, b Image) int { return cmp.Compare(b.TxID, a.TxID) })
	return list, nil
}

// SetAside renames a damaged file so that it is not taken for an image again, and gives
// the new name: the old one with CorruptSuffix, and a number if that is taken.
func SetAside(fs vfs.FS, dir, name string) (string, error) {
	to := name + CorruptSuffix
	for i := 1; ; i++ {
		_, err := fs.Stat(path.Join(dir, to))
		if errors.Is(err, iofs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("fsimage: set aside: %w", err)
		}
		to = fmt.Sprintf("%s%s.%d", name, CorruptSuffix, i)
	}
	err := fs.Rename(path.Join(dir, name), path.Join(dir, to))
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return "", fmt.Errorf("fsimage: set aside: %w", err)
	}
	return to, nil
}

// Purge removes all but the newest keep images (at least one stays) and tells which are
// left, newest first. The error is only about the removal: the caller reports it and
// goes on, because what was published stays published.
func Purge(fs vfs.FS, dir string, keep int) (left []Image, err error) {
	list, err := List(fs, dir)
	if err != nil {
		return nil, err
	}
	keep = max(1, keep)
	left = list[:min(keep, len(list))]
	var errs []error
	for _, old := range list[len(left):] {
		if err := fs.Remove(path.Join(dir, old.Name)); err != nil {
			errs = append(errs, fmt.Errorf("fsimage: purge: %w", err))
			left = append(left, old)
		}
	}
	return left, errors.Join(errs...)
}

var _ io.ReaderAt = vfs.File(nil)
var _ dfs.SectionSource = (*Reader)(nil)
