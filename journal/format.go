package journal

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"redoubt/dfs"
	"redoubt/fsimage"
	"redoubt/vfs"
)

// formattingFile is in a directory from the first change that a format makes there to the
// last one: what else is there then, nobody was told of, and a format may throw away.
const formattingFile = "formatting"

// Format makes the name directories of a new cluster, with an image at TxID 0 that has no
// section: it stands for the state of a machine that was just made. That state must be
// the same at every start; one that isn't (a root directory with a time) takes
// FormatState. A directory that holds anything already is refused unless force is set,
// and then what it held is gone. Nothing is written before every directory was looked
// at. What an interrupted format left is no namespace: formatting again needs no force.
func Format(fs vfs.FS, dirs []string, cluster dfs.ClusterInfo, force bool) error {
	return FormatState(fs, dirs, cluster, nil, force)
}

// FormatState is Format with the image of a state to begin with. It releases state,
// which may be nil.
func FormatState(fs vfs.FS, dirs []string, cluster dfs.ClusterInfo, state Snapshot, force bool) error {
	return FormatAndTell(fs, dirs, nil, cluster, state, force, func() {})
}

// FormatAndTell is FormatState for whoever reports the outcome: told is called when all is
// durable and formatting again would still need no force. So who was not told, because the
// process was killed, can format again. edits are Options.EditsDirs.
func FormatAndTell(fs vfs.FS, dirs, edits []string, cluster dfs.ClusterInfo, state Snapshot, force bool, told func()) (err error) {
	if state != nil {
		defer state.Release()
	}
	if err := errors.Join(validateDirs(dirs), validateEdits(edits)); err != nil {
		return err
	}
	if cluster.ClusterID == "" || strings.ContainsAny(cluster.ClusterID+cluster.PoolID, "\n\r") {
		return dfs.Errorf(dfs.IllegalArgument, "journal: format: cluster id %q, pool id %q", cluster.ClusterID, cluster.PoolID)
	}
	f := &formatting{fs: fs, cluster: cluster}
	if state != nil {
		f.info.Digest, f.sections = state.Digest(), state.Sections()
	}
	f.info.Cluster = cluster
	defer func() {
		for _, d := range f.dirs {
			err = errors.Join(err, d.release())
		}
	}()
	f.dirs = newNameDirs(dirs, edits)
	if err := f.look(force); err != nil {
		return err
	}
	if err := f.each(f.begin, f.fill, f.version); err != nil {
		return err
	}
	told()
	return f.each(f.end)
}

// each takes one step in all directories, then the next.
func (f *formatting) each(steps ...func(*nameDir) error) error {
	for _, step := range steps {
		for _, d := range f.dirs {
			if err := step(d); err != nil {
				return fmt.Errorf("journal: format name directory %s: %w", d.path, err)
			}
		}
	}
	return nil
}

// formatting is a format under way.
type formatting struct {
	fs       vfs.FS
	cluster  dfs.ClusterInfo
	dirs     []*nameDir
	info     fsimage.Info
	sections []dfs.Section
}

// look locks the directories and refuses those that hold something.
func (f *formatting) look(force bool) error {
	interrupted := false
	var holding []*nameDir
	for _, d := range f.dirs {
		if err := f.fs.MkdirAll(d.path); err != nil {
			return fmt.Errorf("journal: format: %w", err)
		}
		if err := d.acquire(f.fs); err != nil {
			return err
		}
		if err := f.fs.MkdirAll(d.cur); err != nil {
			return fmt.Errorf("journal: format: %w", err)
		}
		state, err := d.formatState(f.fs)
		if err != nil {
			return fmt.Errorf("journal: format: %w", err)
		}
		interrupted = interrupted || state == formatInterrupted
		if state == formatDone {
			holding = append(holding, d)
		}
	}
	for _, d := range holding {
		// The last step of a format is to say in one directory after the other that it is over.
		if !force && !(interrupted && f.untouched(d)) {
			return dfs.Errorf(dfs.AlreadyExists, "journal: name directory %s holds a namespace already", d.path)
		}
	}
	return nil
}

// What a directory is to a format.
const (
	formatNone        = iota // it holds nothing
	formatInterrupted        // a format began and did not end
	formatDone               // it holds something
)

func (d *nameDir) formatState(fs vfs.FS) (int, error) {
	if begun, err := exists(fs, d.cur, formattingFile); begun || err != nil {
		return formatInterrupted, err
	}
	blank, err := d.blank(fs)
	if blank || err != nil {
		return formatNone, err
	}
	// An older program said nothing while it formatted, and wrote VERSION last.
	names, err := d.visible(fs)
	if len(names) == 1 && names[0] == fsimage.Name(0) {
		return formatInterrupted, err
	}
	return formatDone, err
}

// visible lists the files that no unfinished publication left.
func (d *nameDir) visible(fs vfs.FS) (names []string, err error) {
	entries, err := fs.ReadDir(d.cur)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, ".") {
			names = append(names, e.Name)
		}
	}
	return names, err
}

// untouched reports whether a directory is as a format leaves it: never started.
func (f *formatting) untouched(d *nameDir) bool {
	cluster, err := d.readVersion(f.fs)
	if err != nil {
		return false
	}
	want := 1 // VERSION
	if d.role.log() {
		mark, err := readWatermark(f.fs, d.cur, cluster)
		if err != nil || len(mark.starts) > 0 {
			return false
		}
		want++
	}
	if d.role.images() {
		want++ // fsimage_0
	}
	names, err := d.visible(f.fs)
	return err == nil && len(names) == want
}

// begin says that a format is under way, and by the same step that there is no namespace
// any more.
func (f *formatting) begin(d *nameDir) error {
	begun, err := exists(f.fs, d.cur, versionFile)
	if err != nil {
		return err
	}
	if begun {
		if err := f.fs.Rename(path.Join(d.cur, versionFile), path.Join(d.cur, formattingFile)); err != nil {
			return err
		}
		return f.fs.SyncDir(d.cur)
	}
	return f.fs.Publish(path.Join(d.cur, formattingFile), func(w io.Writer) error {
		_, err := io.WriteString(w, "A format of this directory began and has not ended.\n")
		return err
	})
}

// fill removes what was there and writes what a new namespace has.
func (f *formatting) fill(d *nameDir) error {
	entries, err := f.fs.ReadDir(d.cur)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name == formattingFile {
			continue
		}
		if err := f.fs.Remove(path.Join(d.cur, e.Name)); err != nil {
			return err
		}
	}
	if err := f.fs.SyncDir(d.cur); err != nil {
		return err
	}
	if d.role.images() {
		if _, err := fsimage.Write(f.fs, d.cur, f.info, f.sections, fsimage.WriteOptions{}); err != nil {
			return err
		}
	}
	if d.role.log() {
		return writeWatermark(f.fs, d.cur, f.cluster, new(watermark))
	}
	return nil
}

func (f *formatting) version(d *nameDir) error { return d.writeVersion(f.fs, f.cluster) }

func (f *formatting) end(d *nameDir) error { return d.endFormat(f.fs) }

// endFormat says that a format is over, if that was not said.
func (d *nameDir) endFormat(fs vfs.FS) error {
	begun, err := exists(fs, d.cur, formattingFile)
	if err != nil || !begun {
		return err
	}
	if err := fs.Remove(path.Join(d.cur, formattingFile)); err != nil {
		return err
	}
	return fs.SyncDir(d.cur)
}

// errUnformatted says that a format of a directory has to be done again.
func (d *nameDir) errUnformatted() error {
	return dfs.Errorf(dfs.IllegalState, "journal: name directory %s is not formatted: a format of it was interrupted", d.path)
}
