package namenode

import (
	"testing"

	"github.com/stretchr/testify/require"

	"redoubt/dfs"
	"redoubt/namespace"
)

func dir(owner, group string, mode dfs.Mode) namespace.Inode {
	return namespace.Inode{Type: dfs.TypeDirectory, Owner: owner, Group: group, Mode: mode}
}

func file(owner, group string, mode dfs.Mode) namespace.Inode {
	return namespace.Inode{Type: dfs.TypeFile, Owner: owner, Group: group, Mode: mode}
}

func TestPermissions(t *testing.T) {
	root := dir("hdfs", "supergroup", 0o755)
	bob := &identity{user: "bob", groups: []string{"staff"}}
	super := &identity{user: "hdfs", super: true}
	path := func(names string, steps ...namespace.Inode) namespace.Walk {
		comps, err := dfs.Components(names)
		require.NoError(t, err)
		return namespace.Walk{Names: comps, Chain: append([]namespace.Inode{root}, steps...)}
	}
	for _, tc := range []struct {
		name string
		w    namespace.Walk
		who  *identity
		p    permit
		kind dfs.Kind
		msg  string // "" allowed
	}{
		{"mkdir in root", path("/x"), bob, permit{ancestor: dfs.Write, create: true}, dfs.Permission,
			`Permission denied: user=bob, access=WRITE, inode="/":hdfs:supergroup:drwxr-xr-x`},
		{"superuser may", path("/x"), super, permit{ancestor: dfs.Write, create: true}, 0, ""},
		{"deep mkdir asks the nearest ancestor", path("/a/b/c/d", dir("alice", "staff", 0o775)), bob, permit{ancestor: dfs.Write}, 0, ""},
		{"deep mkdir refused", path("/a/b/c/d", dir("alice", "staff", 0o757)), bob, permit{ancestor: dfs.Write}, dfs.Permission,
			`Permission denied: user=bob, access=WRITE, inode="/a":alice:staff:drwxr-xrwx`},
		{"the owner's bits count, not the others'", path("/a", file("bob", "x", 0o077)), bob, permit{target: dfs.Read}, dfs.Permission,
			`Permission denied: user=bob, access=READ, inode="/a":bob:x:----rwxrwx`},
		{"the group's bits count, not the others'", path("/a", file("alice", "staff", 0o707)), bob, permit{target: dfs.Read}, dfs.Permission,
			`Permission denied: user=bob, access=READ, inode="/a":alice:staff:-rwx---rwx`},
		{"several bits", path("/a", dir("alice", "x", 0o754)), bob, permit{target: dfs.Read | dfs.Execute}, dfs.Permission,
			`Permission denied: user=bob, access=READ_EXECUTE, inode="/a":alice:x:drwxr-xr--`},
		{"traverse", path("/a/f", dir("alice", "x", 0o700), file("bob", "x", 0o777)), bob, permit{target: dfs.Read}, dfs.Permission,
			`Permission denied: user=bob, access=EXECUTE, inode="/a":alice:x:drwx------`},
		{"traverse when the rest is missing", path("/a/f/g", dir("alice", "x", 0o700)), bob, permit{}, dfs.Permission,
			`Permission denied: user=bob, access=EXECUTE, inode="/a":alice:x:drwx------`},
		{"below a file", path("/f/x", file("bob", "x", 0o777)), bob, permit{}, dfs.Permission, "/f (is not a directory)"},
		{"below a file, creating, superuser", path("/f/x/y", file("bob", "x", 0o777)), super, permit{create: true}, dfs.ParentNotDirectory, "/f (is not a directory)"},
		{"sticky", path("/t/f", dir("hdfs", "x", 0o1777), file("alice", "x", 0o644)), bob, permit{parent: dfs.Write}, dfs.Permission,
			`Permission denied by sticky bit: user=bob, path="/t/f":alice:x:-rw-r--r--, parent="/t":hdfs:x:drwxrwxrwt`},
		{"sticky, own file", path("/t/f", dir("hdfs", "x", 0o1777), file("bob", "x", 0o644)), bob, permit{parent: dfs.Write}, 0, ""},
		{"sticky, own directory", path("/t/f", dir("bob", "x", 0o1777), file("alice", "x", 0o644)), bob, permit{parent: dfs.Write}, 0, ""},
		{"sticky does not stop creation", path("/t/f", dir("hdfs", "x", 0o1777)), bob, permit{parent: dfs.Write}, 0, ""},
		{"delete asks the parent", path("/a/f", dir("alice", "x", 0o755), file("bob", "x", 0o777)), bob, permit{parent: dfs.Write}, dfs.Permission,
			`Permission denied: user=bob, access=WRITE, inode="/a":alice:x:drwxr-xr-x`},
		{"owner", path("/f", file("alice", "x", 0o777)), bob, permit{owner: true}, dfs.Permission,
			"Permission denied. user=bob is not the owner of inode=/f"},
		{"owner himself", path("/f", file("bob", "x", 0)), bob, permit{owner: true}, 0, ""},
		{"root needs nobody above it", path("/"), bob, permit{ancestor: dfs.Write, parent: dfs.Write}, 0, ""},
		{"missing target", path("/f"), bob, permit{target: dfs.Write, owner: true}, 0, ""},
	} {
		err := check(&tc.w, tc.who, tc.p)
		if tc.msg == "" {
			require.NoError(t, err, tc.name)
			continue
		}
		require.Error(t, err, tc.name)
		require.Equal(t, tc.msg, err.Error(), tc.name)
		require.Equal(t, tc.kind, dfs.KindOf(err), tc.name)
	}
}

func TestWalked(t *testing.T) {
	w := namespace.Walk{Chain: make([]namespace.Inode, 1)}
	require.NotNil(t, target(&w))
	require.Nil(t, parentOf(&w))
	require.Nil(t, ancestorOf(&w))
	w = namespace.Walk{Names: []string{"a", "b"}, Chain: make([]namespace.Inode, 1)}
	require.Nil(t, target(&w))
	require.Nil(t, parentOf(&w))
	require.Same(t, &w.Chain[0], ancestorOf(&w))
	w.Chain = make([]namespace.Inode, 2)
	require.Same(t, &w.Chain[1], parentOf(&w))
	require.Same(t, &w.Chain[1], ancestorOf(&w))
	w.Chain = make([]namespace.Inode, 3)
	require.Same(t, &w.Chain[2], target(&w))
	require.Same(t, &w.Chain[1], ancestorOf(&w))
}

func TestCheckAllocatesNothing(t *testing.T) {
	w := namespace.Walk{Names: []string{"a", "b"}, Chain: []namespace.Inode{dir("h", "s", 0o755), dir("h", "s", 0o755), file("h", "s", 0o644)}}
	who := &identity{user: "bob", groups: []string{"x", "y"}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if check(&w, who, permit{target: dfs.Read}) != nil {
			t.Fatal("refused")
		}
	}))
}
