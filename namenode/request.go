package namenode

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/dfs"
	"redoubt/namespace"
)

// request is one call being served: who asks, when, and room for walking paths. It is
// reused, so nothing of it may be kept beyond the call.
type request struct {
	n      *NameNode
	c      *dfs.Caller
	who    identity
	now    time.Time
	names  []string
	page   []dfs.FileStatus
	walk   namespace.Walk
	second namespace.Walk // of calls with two paths
}

// begin starts to serve a call. The caller gives the request back to end.
func (n *NameNode) begin(c *dfs.Caller) (*request, error) {
	r := n.requests.Get().(*request)
	r.n, r.c, r.now = n, c, time.Now()
	if err := n.identify(c.User, r.now, &r.who); err != nil {
		n.end(r)
		return nil, err
	}
	return r, nil
}

func (n *NameNode) end(r *request) {
	r.c = nil
	n.requests.Put(r)
}

// identify finds out who a user is. The realm of a Kerberos-like name does not count.
func (n *NameNode) identify(user string, now time.Time, who *identity) error {
	if i := strings.IndexByte(user, '@'); i >= 0 {
		user = user[:i]
	}
	if user == "" {
		return &dfs.Error{Kind: dfs.Permission, Msg: "the connection names no user"}
	}
	groups, err := n.groups.lookup(user, now)
	if err != nil {
		n.log.Warn("groups can't be looked up; the user is taken to have none", "user", user, "err", err)
		groups = nil
	}
	*who = identity{user: user, groups: groups, ns: n.ns}
	who.super = n.cfg.PermissionsOff || n.isSuperuser(who)
	return nil
}

func (n *NameNode) isSuperuser(who *identity) bool {
	return who.user == n.cfg.Superuser || slices.Contains(who.groups, n.cfg.Supergroup)
}

// superuser refuses everybody else. HDFS's name of the operation stands in the text.
func (r *request) superuser(op string) error {
	if r.who.super {
		return nil
	}
	return &dfs.Error{Kind: dfs.Permission,
		Msg: "Access denied for user " + r.who.user + ". Superuser privilege is required for operation " + op}
}

func (r *request) ms() int64 { return r.now.UnixMilli() }

// resolve walks path into w under the state's read lock, which the caller holds.
func (r *request) resolve(w *namespace.Walk, path string) error {
	names, err := dfs.AppendComponents(r.names[:0], path)
	if err != nil {
		return err
	}
	r.names = names
	if len(names) > 1 && names[0] == reservedName {
		if names, err = r.reserved(names, path); err != nil {
			return err
		}
	}
	return r.n.ns.Resolve(w, names)
}

// look resolves path into r.walk and checks p.
func (r *request) look(path string, p permit) error {
	if err := r.resolve(&r.walk, path); err != nil {
		return err
	}
	return check(&r.walk, &r.who, p)
}

// auth is what an op on w carries that was authorised against the first k inodes of its
// chain: nothing for the superuser, whose leave does not depend on them.
func (r *request) auth(w *namespace.Walk, k int) uint64 {
	if r.who.super {
		return 0
	}
	return w.Auth(k)
}

// head starts an op that was authorised so and may be repeated without harm.
func (r *request) head(auth uint64) namespace.Head {
	return namespace.Head{Time: r.ms(), Auth: auth}
}

// headOnce starts an op whose repetition must get the first answer: the retry cache
// remembers it.
func (r *request) headOnce(auth uint64) namespace.Head {
	return namespace.Head{Time: r.ms(), Call: r.c.ID, Auth: auth}
}

// machine is what a file remembers of where its writer is.
func (r *request) machine() string {
	if !r.c.Addr.IsValid() {
		return "127.0.0.1"
	}
	return r.c.Addr.Unmap().String()
}

func notFound(path string) error {
	return &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "File does not exist: " + path}
}

// fileAt is the file that path names; FileNotFoundException in HDFS's words if there is
// nothing or a directory.
func fileAt(w *namespace.Walk, path string) (*namespace.Inode, error) {
	f := target(w)
	if f == nil {
		return nil, notFound(path)
	}
	if !f.IsFile() {
		return nil, &dfs.Error{Kind: dfs.NotFound, Path: path, Msg: "Path is not a file: " + path}
	}
	return f, nil
}

// mayCreate checks what a new path may look like: how many of names exist already.
func (r *request) mayCreate(w *namespace.Walk, path string) error {
	if len(w.Names) > 0 && w.Names[0] == ".reserved" {
		return &dfs.Error{Kind: dfs.Other, Path: path,
			Msg: `File name ".reserved" is reserved and cannot be created. If this is during upgrade change the name of the existing file or directory to another name before upgrading to the new release.`}
	}
	f := &r.n.cfg.Files
	for i := len(w.Chain) - 1; i < len(w.Names); i++ {
		name := w.Names[i]
		if name == ".snapshot" {
			return &dfs.Error{Kind: dfs.IllegalArgument, Path: path, Msg: `".snapshot" is a reserved name.`}
		}
		if len(name) > f.MaxComponent {
			return &dfs.Error{Kind: dfs.ComponentTooLong, Path: path, Msg: "The maximum path component name limit of " + name +
				" in directory " + pathTo(w, i) + " is exceeded: limit=" + strconv.Itoa(f.MaxComponent) + " length=" + strconv.Itoa(len(name))}
		}
	}
	return r.mayAddTo(w)
}

// mayAddTo checks that the directory that will get a new child has room for it.
func (r *request) mayAddTo(w *namespace.Walk) error {
	i := len(w.Chain) - 1
	if i >= len(w.Names) {
		return nil // nothing will be added
	}
	if d := &w.Chain[i]; d.Children >= r.n.cfg.Files.MaxItems {
		return &dfs.Error{Kind: dfs.DirectoryTooFull, Path: pathTo(w, i), Msg: "The directory item limit of " + pathTo(w, i) +
			" is exceeded: limit=" + strconv.Itoa(r.n.cfg.Files.MaxItems) + " items=" + strconv.Itoa(d.Children+1)}
	}
	return nil
}

// audit writes the audit line of an operation, if there is an audit log. st is shown as
// the operation's perm.
func (r *request) audit(err error, cmd, src, dst string, st *dfs.FileStatus) {
	if r.n.audit == nil {
		return
	}
	// HDFS logs what was allowed, and what was refused for want of a permission; other
	// failures leave no line.
	if err != nil && !dfs.Is(err, dfs.Permission) {
		return
	}
	r.n.audit.add(r.now, r.c, auditEntry{allowed: err == nil, cmd: cmd, src: src, dst: dst, st: st})
}
