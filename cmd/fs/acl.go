package main

import (
	"context"
	"errors"
	"fmt"

	"redoubt/dfs"
)

// aclKeeper is a file system that has access control lists.
type aclKeeper interface {
	acl(ctx context.Context, path string) ([]dfs.ACLEntry, error) // the extended entries
	changeACL(ctx context.Context, path string, how aclChange, spec []dfs.ACLEntry) error
}

// aclChange is one way to change an ACL.
type aclChange int

const (
	aclModify aclChange = iota
	aclRemoveEntries
	aclRemoveDefault
	aclRemove
	aclSet
)

// acls gives the item's file system as one with ACLs.
func (it *item) acls() (aclKeeper, error) {
	if k, ok := it.fs.(aclKeeper); ok {
		return k, nil
	}
	return nil, errors.New("ACLs are not supported on " + it.full())
}

// fullACL is the whole ACL of an item that exists.
func (it *item) fullACL(ctx context.Context) ([]dfs.ACLEntry, error) {
	if it.stat.Flags&dfs.FlagACL == 0 {
		return dfs.FullACL(it.stat.Mode, nil), nil
	}
	k, err := it.acls()
	if err != nil {
		return nil, err
	}
	extended, err := k.acl(ctx, it.path)
	return dfs.FullACL(it.stat.Mode, extended), err
}

// onePath checks that exactly one path is left after the options. The dot is what some
// commands of Hadoop end their message with.
func onePath(args []string, dot string) error {
	switch {
	case len(args) == 0:
		return usagef("<path> is missing%s", dot)
	case len(args) > 1:
		return usagef("Too many arguments%s", dot)
	}
	return nil
}

var getfaclCmd = &shellCmd{
	name: "getfacl", args: "[-R] <path>",
	help: "Shows the access control list of a file or directory, of a directory its default one too.\n" +
		"  -R  everything below too\n\nWhere the mask takes away from an entry, what is left stands behind it.",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{max: -1, names: []string{"R"}}
		args, err := f.parse(args)
		if err == nil {
			err = onePath(args, "")
		}
		inv.recursive = f.given["R"]
		inv.steps.path = inv.showACL
		return args, err
	},
}

func (inv *invocation) showACL(it *item) error {
	st := it.stat
	fmt.Fprintf(inv.out, "# file: %s\n# owner: %s\n# group: %s\n", it, st.Owner, st.Group)
	if st.Mode&dfs.Sticky != 0 {
		fmt.Fprintf(inv.out, "# flags: --%s\n", map[bool]string{true: "t", false: "T"}[st.Mode&1 != 0])
	}
	acl, err := it.fullACL(inv.ctx)
	if err != nil {
		return err
	}
	access, defaults := dfs.SplitACL(acl)
	for _, scope := range [][]dfs.ACLEntry{access, defaults} {
		mask := dfs.Access(7)
		for _, e := range scope {
			if e.Type == dfs.ACLMask {
				mask = e.Perm
			}
		}
		for _, e := range scope {
			effective := ""
			if masked := e.Perm & mask; masked != e.Perm && (e.Name != "" || e.Type == dfs.ACLGroup) {
				effective = "\t#effective:" + masked.Symbol()
			}
			fmt.Fprintf(inv.out, "%s%s\n", e, effective)
		}
	}
	fmt.Fprintln(inv.out)
	return nil
}

var setfaclCmd = &shellCmd{
	name: "setfacl", args: "[-R] [{-b|-k} {-m|-x <acl_spec>} <path>]|[--set <acl_spec> <path>]",
	help: "Changes the access control list of a file or directory. An acl_spec is a comma-separated list of entries: " +
		"[default:]user|group|mask|other:[NAME]:rwx, for -x without the permissions.\n" +
		"  -b  remove all but the entries of owner, group and others\n  -k  remove the default ACL\n" +
		"  -m  add entries or change those that are there\n  -x  remove entries\n" +
		"  --set  replace the access ACL, the default ACL or both, as the entries say\n  -R  everything below too",
	setup: setupSetfacl,
}

func setupSetfacl(inv *invocation, args []string) ([]string, error) {
	f := flags{max: -1, names: []string{"b", "k", "R", "m", "x", "-set"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	how := map[string]aclChange{"b": aclRemove, "k": aclRemoveDefault, "m": aclModify, "x": aclRemoveEntries, "-set": aclSet}
	var chosen []aclChange
	for name, change := range how {
		if f.given[name] {
			chosen = append(chosen, change)
		}
	}
	if len(chosen) > 1 {
		return nil, usagef("Specified flags contains both remove and modify flags")
	}
	var spec []dfs.ACLEntry
	if f.given["m"] || f.given["x"] || f.given["-set"] {
		if spec, err = aclSpecArgument(args, !f.given["x"]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	if err := onePath(args, ""); err != nil {
		return nil, err
	}
	if len(chosen) == 0 {
		return nil, usagef("Expected one of -b, -k, -m, -x or --set options")
	}
	inv.recursive = f.given["R"]
	inv.steps.path = func(it *item) error { return inv.changeACL(it, chosen[0], spec) }
	return args, nil
}

// aclSpecArgument reads the first argument; a path must follow.
func aclSpecArgument(args []string, perms bool) ([]dfs.ACLEntry, error) {
	switch len(args) {
	case 0:
		return nil, usagef("Missing arguments: <acl_spec> <path>")
	case 1:
		return nil, usagef("Missing either <acl_spec> or <path>")
	}
	spec, err := dfs.ParseACL(args[0], perms)
	if err != nil {
		return nil, usagef("%s", message(err))
	}
	if len(spec) == 0 {
		return nil, usagef("Missing <acl_spec> entry")
	}
	return spec, nil
}

// changeACL changes one item. Below a directory, files get the access entries only.
func (inv *invocation) changeACL(it *item, how aclChange, spec []dfs.ACLEntry) error {
	if inv.recursive && !it.isDir() && len(spec) > 0 {
		var access []dfs.ACLEntry
		for _, e := range spec {
			if e.Scope == dfs.ACLAccess {
				access = append(access, e)
			}
		}
		if len(access) == 0 {
			return nil
		}
		spec = access
	}
	k, err := it.acls()
	if err != nil {
		return err
	}
	return k.changeACL(inv.ctx, it.path, how, spec)
}

func (r *remoteFS) acl(ctx context.Context, path string) ([]dfs.ACLEntry, error) {
	st, err := r.c.ACLStatus(ctx, path)
	if err != nil {
		return nil, err
	}
	return st.Entries, nil
}

func (r *remoteFS) changeACL(ctx context.Context, path string, how aclChange, spec []dfs.ACLEntry) error {
	switch how {
	case aclModify:
		return r.c.ModifyACL(ctx, path, spec)
	case aclRemoveEntries:
		return r.c.RemoveACLEntries(ctx, path, spec)
	case aclRemoveDefault:
		return r.c.RemoveDefaultACL(ctx, path)
	case aclRemove:
		return r.c.RemoveACL(ctx, path)
	}
	return r.c.SetACL(ctx, path, spec)
}
