//go:build !linux

package vfs

import "os"

func statAll(_ *os.File, list []os.DirEntry) ([]Entry, error) {
	entries := make([]Entry, 0, len(list))
	for _, d := range list {
		if d.IsDir() {
			entries = append(entries, Entry{Name: d.Name(), Dir: true})
			continue
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry(info))
	}
	return entries, nil
}
