package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"redoubt/dfs"
)

// xattrKeeper is a file system that has extended attributes.
type xattrKeeper interface {
	xattrs(ctx context.Context, path string, names ...string) ([]dfs.XAttr, error)
	setXAttr(ctx context.Context, path, name string, value []byte) error
	removeXAttr(ctx context.Context, path, name string) error
}

// attrs gives the item's file system as one with extended attributes.
func (it *item) attrs() (xattrKeeper, error) {
	if k, ok := it.fs.(xattrKeeper); ok {
		return k, nil
	}
	return nil, errors.New("extended attributes are not supported on " + it.full())
}

// popValue takes an option and its value out of the arguments before "--".
func popValue(args []string, option string) (rest []string, value string, given bool, err error) {
	for i, a := range args {
		if a == "--" {
			break
		}
		if a != option {
			continue
		}
		if i+1 == len(args) {
			return nil, "", false, usagef("option %s requires 1 argument.", option)
		}
		return slices.Concat(args[:i], args[i+2:]), args[i+1], true, nil
	}
	return args, "", false, nil
}

// popFlag takes an option out of the arguments before "--".
func popFlag(args []string, option string) (rest []string, given bool) {
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == option {
			return slices.Concat(args[:i], args[i+1:]), true
		}
	}
	return args, false
}

// lastPath checks that one path is left, perhaps behind "--".
func lastPath(args []string) ([]string, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	return args, onePath(args, ".")
}

var getfattrCmd = &shellCmd{
	name: "getfattr", args: "[-R] {-n name | -d} [-e en] <path>",
	help: "Shows extended attributes of a file or directory and their values.\n  -n name  this one\n  -d  all\n  -R  everything below too\n" +
		"  -e text|hex|base64  how values are shown: in double quotes, behind 0x or behind 0s",
	setup: func(inv *invocation, args []string) ([]string, error) {
		args, name, named, err := popValue(args, "-n")
		if err != nil {
			return nil, err
		}
		args, encoding, encoded, err := popValue(args, "-e")
		if err != nil {
			return nil, err
		}
		if !encoded {
			encoding = "text"
		}
		show := valueFormats[strings.ToLower(encoding)]
		if show == nil {
			return nil, usagef("Invalid/unsupported encoding option specified: %s", encoding)
		}
		args, inv.recursive = popFlag(args, "-R")
		args, dump := popFlag(args, "-d")
		if !named && !dump {
			return nil, usagef("Must specify '-n name' or '-d' option.")
		}
		inv.steps.path = func(it *item) error {
			fmt.Fprintf(inv.out, "# file: %s\n", it)
			if dump {
				return inv.dumpXAttrs(it, show)
			}
			return inv.showXAttr(it, name, show)
		}
		return lastPath(args)
	},
}

// valueFormats are the encodings of values.
var valueFormats = map[string]func(v []byte) string{
	"text":   func(v []byte) string { return `"` + string([]rune(string(v))) + `"` },
	"hex":    func(v []byte) string { return "0x" + hex.EncodeToString(v) },
	"base64": func(v []byte) string { return "0s" + base64.StdEncoding.EncodeToString(v) },
}

func (inv *invocation) printXAttr(name string, value []byte, show func([]byte) string) {
	if len(value) > 0 {
		name += "=" + show(value)
	}
	fmt.Fprintln(inv.out, name)
}

func (inv *invocation) showXAttr(it *item, name string, show func([]byte) string) error {
	if _, err := dfs.ParseXAttrName(name); err != nil {
		return usagef("%s", message(err))
	}
	k, err := it.attrs()
	if err != nil {
		return err
	}
	list, err := k.xattrs(inv.ctx, it.path, name)
	if err != nil {
		return err
	}
	for _, x := range list {
		inv.printXAttr(name, x.Value, show)
	}
	return nil
}

func (inv *invocation) dumpXAttrs(it *item, show func([]byte) string) error {
	k, err := it.attrs()
	if err != nil {
		return err
	}
	list, err := k.xattrs(inv.ctx, it.path)
	if err != nil {
		return err
	}
	sortAsJava(list)
	for i := range list {
		inv.printXAttr(list[i].FullName(), list[i].Value, show)
	}
	return nil
}

// sortAsJava puts attributes into the order in which Hadoop's shell happens to print them:
// that of a java.util.HashMap, by the bucket of the name's hash. Scripts compare outputs.
func sortAsJava(list []dfs.XAttr) {
	buckets := uint32(16)
	for 4*uint32(len(list)) > 3*buckets {
		buckets *= 2
	}
	bucket := func(x *dfs.XAttr) uint32 {
		var h uint32
		for _, u := range utf16.Encode([]rune(x.FullName())) {
			h = 31*h + uint32(u)
		}
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(list, func(a, b dfs.XAttr) int { return int(bucket(&a)) - int(bucket(&b)) })
}

var setfattrCmd = &shellCmd{
	name: "setfattr", args: "{-n name [-v value] | -x name} <path>",
	help: "Sets or removes an extended attribute of a file or directory. Its name begins with user., trusted., security., system. or raw.\n" +
		"  -n name  the one to set\n  -v value  its value: text, in double quotes or not, hexadecimal behind 0x or base64 behind 0s\n  -x name  the one to remove",
	setup: setupSetfattr,
}

func setupSetfattr(inv *invocation, args []string) ([]string, error) {
	args, name, set, err := popValue(args, "-n")
	if err != nil {
		return nil, err
	}
	args, text, valued, err := popValue(args, "-v")
	if err != nil {
		return nil, err
	}
	var value []byte
	if valued {
		if value, err = parseValue(text); err != nil {
			return nil, err
		}
	}
	args, gone, remove, err := popValue(args, "-x")
	switch {
	case err != nil:
		return nil, err
	case set && remove:
		return nil, usagef("Can not specify both '-n name' and '-x name' option.")
	case !set && !remove:
		return nil, usagef("Must specify '-n name' or '-x name' option.")
	case remove:
		name = gone
	}
	inv.steps.path = func(it *item) error {
		if _, err := dfs.ParseXAttrName(name); err != nil {
			return usagef("%s", message(err))
		}
		k, err := it.attrs()
		if err != nil {
			return err
		}
		if remove {
			return k.removeXAttr(inv.ctx, it.path, name)
		}
		return k.setXAttr(inv.ctx, it.path, name, value)
	}
	return lastPath(args)
}

// parseValue reads an attribute's value as the user typed it.
func parseValue(text string) ([]byte, error) {
	if len(text) < 2 {
		return []byte(text), nil
	}
	switch {
	case text[0] == '"' && text[len(text)-1] == '"':
		return []byte(text[1 : len(text)-1]), nil
	case strings.EqualFold(text[:2], "0x"):
		return parseHex(text[2:])
	case strings.EqualFold(text[:2], "0s"):
		return parseBase64(text[2:]), nil
	}
	return []byte(text), nil
}

func parseHex(digits string) ([]byte, error) {
	if len(digits)%2 != 0 {
		return nil, errors.New("org.apache.commons.codec.DecoderException: Odd number of characters.")
	}
	for i, c := range []byte(digits) {
		if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return nil, fmt.Errorf("org.apache.commons.codec.DecoderException: Illegal hexadecimal character %c at index %d", c, i)
		}
	}
	return hex.DecodeString(digits)
}

// parseBase64 decodes what can be decoded: characters that don't belong are passed over,
// and both common alphabets are known.
func parseBase64(text string) []byte {
	text, _, _ = strings.Cut(text, "=")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '+', r == '/':
			return r
		}
		return -1
	}, text)
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	value, _ := base64.RawStdEncoding.DecodeString(text) // of its alphabet and length only
	return value
}

func (r *remoteFS) xattrs(ctx context.Context, path string, names ...string) ([]dfs.XAttr, error) {
	return r.c.XAttrs(ctx, path, names...)
}

func (r *remoteFS) setXAttr(ctx context.Context, path, name string, value []byte) error {
	return r.c.SetXAttr(ctx, path, name, value, dfs.XAttrCreate|dfs.XAttrReplace)
}

func (r *remoteFS) removeXAttr(ctx context.Context, path, name string) error {
	return r.c.RemoveXAttr(ctx, path, name)
}
