package namenode

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"redoubt/dfs"
)

// Mkdirs asks for a directory as a client without a umask does.
func (r *rig) Mkdirs(ctx context.Context, c *dfs.Caller, path string, mode dfs.Mode, createParent bool) (bool, error) {
	return r.NameNode.Mkdirs(ctx, c, &dfs.MkdirsRequest{Path: path, Mode: mode, CreateParent: createParent})
}

func aclOf(t testing.TB, spec string) []dfs.ACLEntry {
	t.Helper()
	acl, err := dfs.ParseACL(spec, true)
	require.NoError(t, err)
	return acl
}

func aclText(acl []dfs.ACLEntry) string {
	var b []string
	for _, e := range acl {
		b = append(b, e.String())
	}
	return strings.Join(b, ",")
}

// fullACL is a path's whole ACL as getfacl shows it.
func (r *rig) fullACL(path string) string {
	r.t.Helper()
	st, err := r.ACLStatus(by("root"), path)
	require.NoError(r.t, err)
	require.Equal(r.t, len(st.Entries) > 0, r.stat(path).Flags&dfs.FlagACL != 0, path)
	return aclText(dfs.FullACL(st.Mode, st.Entries))
}

// TestACLTransformations checks what becomes of an ACL; the results are those of HDFS.
func TestACLTransformations(t *testing.T) {
	const base, named = "user::rwx,group::r-x,other::---", "user::rwx,user:bob:rw-,group::r--,mask::rw-,other::---"
	const required, masked = "the user, group and other entries are required.", "mask is required and cannot be deleted."
	for _, c := range []struct{ op, have, spec, want string }{
		{"merge", base, "user:bob:rw-", "user::rwx,user:bob:rw-,group::r-x,mask::rwx,other::---"},
		{"merge", base, "group::---", "user::rwx,group::---,other::---"},
		{"merge", base, "mask::r--", "user::rwx,group::r-x,mask::r--,other::---"},
		{"merge", named, "user:bob:---", "user::rwx,user:bob:---,group::r--,mask::r--,other::---"},
		{"merge", named, "user:bob:rwx,mask::--x", "user::rwx,user:bob:rwx,group::r--,mask::--x,other::---"},
		{"merge", named, "default:group:ops:rwx", named + ",default:user::rwx,default:group::r--,default:group:ops:rwx,default:mask::rwx,default:other::---"},
		{"merge", named, "user:bob:r--,user:bob:rwx", "user::rwx,user:bob:r--,group::r--,mask::r--,other::---"},
		{"merge", base, "mask:x:rwx", "this entry type must not have a name: mask:x:rwx."},
		{"merge", base, "other:x:rwx", "this entry type must not have a name: other:x:rwx."},
		{"filter", named, "user:bob:---", "user::rwx,group::r--,mask::r--,other::---"},
		{"filter", named, "user:nobody:---", named},
		{"filter", named, "mask::---", masked},
		{"filter", named, "user::---", required},
		{"filter", named, "user:bob:---,mask::---", "user::rwx,group::r--,other::---"},
		{"filter", base + ",default:user::r--,default:group::---,default:other::---", "default:user::---", base + ",default:user::rwx,default:group::---,default:other::---"},
		{"replace", named, base, base},
		{"replace", named, "default:user::rwx", named + ",default:user::rwx,default:group::r--,default:other::---"},
		{"replace", named, "user::rwx,group::r--", required},
		{"replace", named, "user::rwx,group::r-x,group:ops:--x,other::---", "user::rwx,group::r-x,group:ops:--x,mask::r-x,other::---"},
	} {
		f := map[string]func(have, spec []dfs.ACLEntry) ([]dfs.ACLEntry, error){"merge": mergeACL, "filter": filterACL, "replace": replaceACL}[c.op]
		got, err := f(aclOf(t, c.have), aclOf(t, c.spec))
		if err != nil {
			require.Equal(t, "Invalid ACL: "+c.want, err.(*dfs.Error).Msg, "%+v", c)
			continue
		}
		require.Equal(t, c.want, aclText(got), "%+v", c)
	}
	var many []dfs.ACLEntry
	for i := range 33 {
		many = append(many, dfs.ACLEntry{Name: fmt.Sprint("u", i), Scope: dfs.ACLDefault})
	}
	_, err := mergeACL(aclOf(t, base), many)
	require.ErrorContains(t, err, "Invalid ACL: ACL has 33 default entries, which exceeds maximum of 32.")
	_, err = mergeACL(aclOf(t, base), many[:29])
	require.ErrorContains(t, err, "Invalid ACL: ACL has 33 default entries, which exceeds maximum of 32.")
	_, err = mergeACL(aclOf(t, base), many[:28])
	require.NoError(t, err)
}

// TestACLFolds checks with random ACLs that what is stored of one gives it back, and that
// a merge with itself changes nothing.
func TestACLFolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := dfs.Mode(rapid.IntRange(0, 0o1777).Draw(t, "mode"))
		var spec []dfs.ACLEntry
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			spec = append(spec, dfs.ACLEntry{
				Type: dfs.ACLType(rapid.IntRange(0, 3).Draw(t, "type")), Scope: dfs.ACLScope(rapid.IntRange(0, 1).Draw(t, "scope")),
				Perm: dfs.Access(rapid.IntRange(0, 7).Draw(t, "perm")), Name: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"),
			})
		}
		full, err := mergeACL(dfs.FullACL(mode, nil), spec)
		if err != nil {
			return
		}
		folded, extended := foldACL(mode, full)
		require.Equal(t, mode&dfs.Sticky, folded&dfs.Sticky)
		require.Equal(t, full, dfs.FullACL(folded, extended))
		again, err := mergeACL(full, full)
		require.NoError(t, err)
		require.Equal(t, full, again)
	})
}

// TestACLAccess checks whom an ACL lets do what: users of groupsForTests, one ACL a case.
func TestACLAccess(t *testing.T) {
	r := newRig(t, 0)
	r.mkdir("root", "/d", 0o750)
	require.NoError(t, r.SetOwner(ctx, by("root"), "/d", "alice", "staff"))
	may := func(user string) string {
		var got dfs.Access
		for _, a := range []dfs.Access{dfs.Read, dfs.Write, dfs.Execute} {
			if r.CheckAccess(by(user), "/d", a) == nil {
				got |= a
			}
		}
		return got.Symbol()
	}
	for _, c := range []struct {
		acl              string
		alice, bob, dave string
	}{
		{"user::rwx,group::r-x,other::---", "rwx", "r-x", "---"},
		{"user::r--,user:alice:rwx,group::r-x,other::rwx", "r--", "r-x", "rwx"},
		{"user::rwx,user:bob:-w-,group::r-x,other::---", "rwx", "-w-", "---"},
		{"user::rwx,user:bob:rwx,group::r-x,mask::r--,other::---", "rwx", "r--", "---"},
		{"user::rwx,user:bob:---,group::r-x,other::rwx", "rwx", "---", "rwx"},
		{"user::rwx,group::---,group:staff:rw-,other::--x", "rwx", "rw-", "--x"},
		{"user::rwx,group::---,group:nobody:rwx,other::rwx", "rwx", "---", "rwx"},
		{"user::rwx,group::r-x,mask::---,other::--x,default:user:dave:rwx", "rwx", "---", "--x"},
		{"user::rwx,user:dave:r-x,group::r-x,other::---", "rwx", "r-x", "r-x"},
	} {
		require.NoError(t, r.SetACL(ctx, by("root"), "/d", aclOf(t, c.acl)))
		require.Equal(t, []string{c.alice, c.bob, c.dave}, []string{may("alice"), may("bob"), may("dave")}, c.acl)
		require.Equal(t, "rwx", may("root"))
	}
	require.NoError(t, r.RemoveACL(ctx, by("alice"), "/d"))
	require.Equal(t, "user::rwx,group::r-x,other::---", r.fullACL("/d"))
	require.NoError(t, r.ModifyACL(ctx, by("alice"), "/d", aclOf(t, "default:user:bob:rwx")))
	require.Equal(t, "r-x", may("bob"), "a default ACL gives no access")
	kindAndText(t, r.ModifyACL(ctx, by("bob"), "/d", aclOf(t, "user:bob:rwx")), dfs.Permission, "Permission denied. user=bob is not the owner of inode=/d")
}

// TestACLInheritance checks what new files and directories get, and that it is all there
// again after a restart.
func TestACLInheritance(t *testing.T) {
	for _, posix := range []bool{true, false} {
		r := newRig(t, 3, func(c *Config) { c.Attrs.MaskInherited = !posix })
		r.mkdir("root", "/d", 0o755)
		require.NoError(t, r.ModifyACL(ctx, by("root"), "/d", aclOf(t, "default:user:bob:rwx,default:group::rwx")))
		_, err := r.NameNode.Mkdirs(ctx, by("root"), &dfs.MkdirsRequest{Path: "/d/a/b", Mode: 0o750, Unmasked: 0o777, HasUnmasked: true, CreateParent: true})
		require.NoError(t, err)
		req := newFile("/d/f", "w")
		req.Mode, req.Unmasked, req.HasUnmasked = 0o640, 0o666, true
		_, err = r.Create(ctx, by("root"), req)
		require.NoError(t, err)
		const defaults = ",default:user::rwx,default:user:bob:rwx,default:group::rwx,default:mask::rwx,default:other::r-x"
		dir, file := "user::rwx,user:bob:rwx,group::rwx,mask::rwx,other::r-x", "user::rw-,user:bob:rwx,group::rwx,mask::rw-,other::r--"
		if !posix {
			dir, file = "user::rwx,user:bob:rwx,group::rwx,mask::r-x,other::---", "user::rw-,user:bob:rwx,group::rwx,mask::r--,other::---"
		}
		check := func() {
			require.Equal(t, dir+defaults, r.fullACL("/d/a"))
			require.Equal(t, dir+defaults, r.fullACL("/d/a/b"))
			require.Equal(t, file, r.fullACL("/d/f"))
		}
		check()
		r.restartSame()
		check()
		_, err = r.Rename(ctx, by("root"), "/d/f", "/f")
		require.NoError(t, err)
		require.Equal(t, file, r.fullACL("/f"), "a moved file keeps its ACL")
	}
}

// TestACLDefaultMinimal checks that a default ACL without names makes permission bits only.
func TestACLDefaultMinimal(t *testing.T) {
	r := newRig(t, 3)
	r.mkdir("root", "/d", 0o755)
	require.NoError(t, r.SetACL(ctx, by("root"), "/d", aclOf(t, "default:user::rwx,default:group::-w-,default:other::---")))
	_, err := r.Create(ctx, by("root"), newFile("/d/f", "w"))
	require.NoError(t, err)
	require.Zero(t, r.stat("/d/f").Flags&dfs.FlagACL)
	require.EqualValues(t, 0, r.stat("/d/f").Mode&0o077)
	r.mkdir("root", "/d/e", 0o777)
	require.Equal(t, "user::rwx,group::-w-,other::---,default:user::rwx,default:group::-w-,default:other::---", r.fullACL("/d/e"))
	require.NoError(t, r.RemoveDefaultACL(ctx, by("root"), "/d/e"))
	require.Equal(t, "user::rwx,group::-w-,other::---", r.fullACL("/d/e"))
}

func TestACLErrors(t *testing.T) {
	r := newRig(t, 3)
	r.write("/f", 10)
	bob := aclOf(t, "user:bob:rwx")
	kindAndText(t, r.ModifyACL(ctx, by("root"), "/f", aclOf(t, "default:user:bob:rwx")), dfs.ACL,
		"Invalid ACL: only directories may have a default ACL. Path: /f Path: /f")
	kindAndText(t, r.ModifyACL(ctx, by("root"), "/nope", bob), dfs.NotFound, "Directory/File does not exist /nope")
	_, err := r.ACLStatus(by("root"), "/nope")
	kindAndText(t, err, dfs.NotFound, "cannot find /nope")
	require.NoError(t, r.SetPermission(ctx, by("root"), "/f", 0o600))
	require.NoError(t, r.ModifyACL(ctx, by("root"), "/f", bob))
	require.NoError(t, r.SetPermission(ctx, by("root"), "/f", 0o640))
	require.Equal(t, "user::rw-,user:bob:rwx,group::---,mask::r--,other::---", r.fullACL("/f"), "chmod sets the mask")
	_, err = r.BlockLocations(by("bob"), "/f", 0, 1)
	require.NoError(t, err)
	require.NoError(t, r.RemoveACLEntries(ctx, by("root"), "/f", bob))
	require.Equal(t, "user::rw-,group::---,mask::---,other::---", r.fullACL("/f"))
	require.NoError(t, r.SetACL(ctx, by("root"), "/f", nil))
	require.Equal(t, "user::rw-,group::---,other::---", r.fullACL("/f"))

	off := newRig(t, 0, func(c *Config) { c.Attrs = AttrConfig{NoACLs: true, NoXAttrs: true} })
	const why = "has been disabled by setting dfs.namenode.%s.enabled to false."
	kindAndText(t, off.ModifyACL(ctx, by("root"), "/", bob), dfs.ACL, "The ACL operation has been rejected.  Support for ACLs "+fmt.Sprintf(why, "acls"))
	_, err = off.ACLStatus(by("root"), "/")
	require.True(t, dfs.Is(err, dfs.ACL))
	_, err = off.ListXAttrs(by("root"), "/")
	kindAndText(t, err, dfs.Other, "The XAttr operation has been rejected.  Support for XAttrs "+fmt.Sprintf(why, "xattrs"))
}

// TestACLConcurrent has the superuser add entries from many goroutines: each edit starts
// from what is there, so none may be lost.
func TestACLConcurrent(t *testing.T) {
	r := newRig(t, 0)
	r.mkdir("root", "/d", 0o700)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := r.ModifyACL(ctx, by("root"), "/d", []dfs.ACLEntry{{Type: dfs.ACLUser, Perm: 4, Name: fmt.Sprintf("u%02d", i)}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 16, strings.Count(r.fullACL("/d"), "user:u"))
}

func TestACLAudit(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, 0, func(c *Config) { c.Audit = &log })
	r.mkdir("root", "/d", 0o700)
	require.NoError(t, r.ModifyACL(ctx, by("root"), "/d", aclOf(t, "user:bob:r-x")))
	require.Error(t, r.RemoveACL(ctx, by("bob"), "/d"))
	require.NoError(t, r.SetXAttr(ctx, by("root"), "/d", dfs.XAttr{Name: "a"}, 3))
	_, err := r.ListXAttrs(by("root"), "/d")
	require.NoError(t, err)
	r.stop()
	for _, want := range []string{
		"allowed=true\tugi=root (auth:SIMPLE)\tip=/10.0.0.1\tcmd=modifyAclEntries\tsrc=/d\tdst=null\tperm=root:supergroup:rwxr-x---",
		"allowed=false\tugi=bob (auth:SIMPLE)\tip=/10.0.0.1\tcmd=removeAcl\tsrc=/d\tdst=null\tperm=null",
		"cmd=setXAttr\tsrc=/d\tdst=null\tperm=root:supergroup:rwxr-x---", "cmd=listXAttrs\tsrc=/d\tdst=null\tperm=null",
	} {
		require.Contains(t, log.String(), want)
	}
}
