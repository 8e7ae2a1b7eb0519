package namenode

import (
	"slices"
	"strconv"
	"strings"

	"redoubt/dfs"
	"redoubt/namespace"
)

// GuardConfig holds what protects a namespace from its users.
type GuardConfig struct {
	// Protected directories are not deleted or renamed while something is in them:
	// fs.protected.directories.
	Protected []string
	// ProtectBelow extends that to the directories below them: dfs.protected.subdirectories.enable.
	ProtectBelow bool
	MaxObjects   int64 // dfs.namenode.max.objects: files, directories and blocks; 0: no limit
	// PoliciesOff is the opposite of dfs.storage.policy.enabled; PoliciesBySuperuser is
	// dfs.storage.policy.permissions.superuser-only.
	PoliciesOff, PoliciesBySuperuser bool
}

// cleanProtected makes absolute, clean, sorted paths of what is configured; the root and
// what is no path count for nothing, as in HDFS.
func cleanProtected(dirs []string) (out []string) {
	for _, d := range dirs {
		if names, err := dfs.Components(d); err == nil && len(names) > 0 {
			out = append(out, dfs.Join(names...))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mayRemove refuses to take away, by a delete or a rename, a directory that is protected or
// above one that is. An empty one protects nothing.
func (r *request) mayRemove(w *namespace.Walk) error {
	g := &r.n.cfg.Files.Guards
	if ino := target(w); len(g.Protected) == 0 || ino == nil || !ino.IsDir() || ino.Children == 0 {
		return nil
	}
	path := dfs.Join(w.Names...)
	refuse := func(what, which string) error {
		return &dfs.Error{Kind: dfs.Permission, Path: path, Msg: "Cannot delete/rename " + what + " " + which}
	}
	if slices.Contains(g.Protected, path) {
		return refuse("non-empty protected directory", path)
	}
	for _, p := range g.Protected {
		if strings.HasPrefix(p, strings.TrimSuffix(path, "/")+"/") && r.inUse(p) {
			return refuse("non-empty protected subdirectory", p)
		}
	}
	for i := len(w.Names) - 1; g.ProtectBelow && i > 0; i-- {
		if above := dfs.Join(w.Names[:i]...); slices.Contains(g.Protected, above) {
			return refuse("subdirectory under protected subdirectory", above)
		}
	}
	return nil
}

// inUse reports whether a directory is there and has something in it.
func (r *request) inUse(path string) bool {
	names, err := dfs.Components(path)
	if err != nil {
		return false
	}
	var w namespace.Walk
	if r.n.ns.Resolve(&w, names) != nil {
		return false
	}
	d := target(&w)
	return d != nil && d.IsDir() && d.Children > 0
}

// roomForMore refuses what would add an inode or a block when there are as many as are
// allowed. The caller holds the state's read lock.
func (r *request) roomForMore() error {
	most := r.n.cfg.Files.Guards.MaxObjects
	if most == 0 {
		return nil
	}
	if c := r.n.ns.Counts(); c.Files+c.Directories+c.Blocks < most {
		return nil
	}
	return &dfs.Error{Kind: dfs.Other, Msg: "Exceeded the configured number of objects " + strconv.FormatInt(most, 10) + " in the filesystem."}
}

// maySetPolicy checks that storage policies may be set at all, and by whom.
func (n *NameNode) maySetPolicy(c *dfs.Caller, cmd, what string) error {
	g := &n.cfg.Files.Guards
	if g.PoliciesOff {
		return &dfs.Error{Kind: dfs.Other, Msg: "Failed to " + what + " since dfs.storage.policy.enabled is set to false."}
	}
	if g.PoliciesBySuperuser {
		return n.CheckSuperuser(c, cmd)
	}
	return nil
}
