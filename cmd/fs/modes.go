package main

import (
	"fmt"
	"regexp"
	"strings"

	"redoubt/dfs"
)

var chmodCmd = &shellCmd{
	name: "chmod", args: "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
	help: "Changes permissions. MODE is [ugoa]+[+-=][rwxXt], OCTALMODE three digits or four with the sticky bit.\n" +
		"  -R  everything below too",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 2, max: -1, names: []string{"R"}, lenient: true}
		args, err := f.parse(args)
		if err != nil {
			return nil, err
		}
		change, err := parseModeChange(args[0])
		if err != nil {
			return nil, err
		}
		inv.recursive = f.given["R"]
		inv.steps.path = func(it *item) error {
			mode := change.apply(it.stat.Mode, it.isDir())
			if mode == it.stat.Mode {
				return nil
			}
			if err := it.fs.chmod(inv.ctx, it.path, mode); err != nil {
				return changing("permissions", it, err)
			}
			return nil
		}
		return args[1:], nil
	},
}

func changing(what string, it *item, err error) error {
	return fmt.Errorf("changing %s of '%s': %s", what, it, message(err))
}

// modeChange is a parsed mode argument: what becomes of each of the four octal digits,
// in the order sticky, user, group, others.
type modeChange struct {
	octal bool
	parts [4]modePart
}

// modePart is the change of one octal digit.
type modePart struct {
	op   byte // + - =
	bits dfs.Mode
	exec bool // X
}

var (
	octalMode    = regexp.MustCompile(`^\s*[+]?([01]?)([0-7]{3})\s*$`)
	symbolicMode = regexp.MustCompile(`^\s*([ugoa]*)([+=-]+)([rwxXt]+)\s*$`)
	umaskPart    = regexp.MustCompile(`^\s*([ugoa]*)([+=-]+)([rwx]*)\s*$`)
)

func parseModeChange(s string) (*modeChange, error) {
	if c := parseMode(s, symbolicMode); c != nil {
		return c, nil
	}
	return nil, usagef("chmod : mode '%s' does not match the expected pattern.", s)
}

// parseMode reads octal digits or symbolic parts; nil if it is neither.
func parseMode(s string, symbolic *regexp.Regexp) *modeChange {
	c := &modeChange{}
	for i := range c.parts {
		c.parts[i].op = '+'
	}
	if m := octalMode.FindStringSubmatch(s); m != nil {
		c.octal = true
		c.parts[0] = modePart{op: '='}
		if m[1] != "" {
			c.parts[0].bits = dfs.Mode(m[1][0] - '0')
		}
		for i := range 3 {
			c.parts[1+i] = modePart{op: '=', bits: dfs.Mode(m[2][i] - '0')}
		}
		return c
	}
	for _, part := range strings.Split(s, ",") {
		m := symbolic.FindStringSubmatch(part)
		if m == nil {
			return nil
		}
		c.add(m[1], m[2][len(m[2])-1], m[3])
	}
	return c
}

// add applies one "who operation what"; a later one for the same digit replaces it.
func (c *modeChange) add(who string, op byte, what string) {
	p := modePart{op: op}
	sticky := false
	for _, w := range what {
		switch w {
		case 'r':
			p.bits |= 4
		case 'w':
			p.bits |= 2
		case 'x':
			p.bits |= 1
		case 'X':
			p.bits |= 1
			p.exec = true
		case 't':
			sticky = true
		}
	}
	all := who == "" || strings.Contains(who, "a")
	if all || strings.Contains(who, "u") {
		c.parts[1] = p
	}
	if all || strings.Contains(who, "g") {
		c.parts[2] = p
	}
	if all || strings.Contains(who, "o") {
		c.parts[3] = p
		c.parts[0] = modePart{op: op}
		if sticky {
			c.parts[0].bits = 1
		}
	}
}

// apply gives the mode that m becomes.
func (c *modeChange) apply(m dfs.Mode, dir bool) dfs.Mode {
	executable := dir || m&0o111 != 0
	var out dfs.Mode
	for i, p := range c.parts {
		old := m >> (3 * (3 - i)) & 7
		bits := p.bits
		switch p.op {
		case '+':
			bits |= old
		case '-':
			bits = old &^ bits
		}
		if p.exec && !executable && bits&1 != 0 && old&1 == 0 {
			bits &^= 1
		}
		out |= bits << (3 * (3 - i))
	}
	return out
}

const namePattern = `[-_./@a-zA-Z0-9]`

var (
	ownerPattern = regexp.MustCompile(`^\s*(` + namePattern + `+)?([:](` + namePattern + `*))?\s*$`)
	groupPattern = regexp.MustCompile(`^\s*(` + namePattern + `+)\s*$`)
)

var chownCmd = &shellCmd{
	name: "chown", args: "[-R] [OWNER][:[GROUP]] PATH...",
	help: "Changes owner and group; what is not named stays.\n  -R  everything below too",
	setup: func(inv *invocation, args []string) ([]string, error) {
		return setupChown(inv, args, func(s string) (owner, group string, err error) {
			m := ownerPattern.FindStringSubmatch(s)
			if m == nil {
				return "", "", usagef("'%s' does not match expected pattern for [owner][:group].", s)
			}
			if m[1] == "" && m[3] == "" {
				return "", "", usagef("'%s' does not specify owner or group.", s)
			}
			return m[1], m[3], nil
		})
	},
}

var chgrpCmd = &shellCmd{
	name: "chgrp", args: "[-R] GROUP PATH...",
	help: "Changes the group.\n  -R  everything below too",
	setup: func(inv *invocation, args []string) ([]string, error) {
		return setupChown(inv, args, func(s string) (owner, group string, err error) {
			m := groupPattern.FindStringSubmatch(s)
			if m == nil {
				return "", "", usagef("'%s' does not match expected pattern for group", s)
			}
			return "", m[1], nil
		})
	},
}

func setupChown(inv *invocation, args []string, parse func(string) (owner, group string, err error)) ([]string, error) {
	f := flags{min: 2, max: -1, names: []string{"R"}}
	args, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	owner, group, err := parse(args[0])
	if err != nil {
		return nil, err
	}
	inv.recursive = f.given["R"]
	inv.steps.path = func(it *item) error {
		o, g := owner, group
		if o == it.stat.Owner {
			o = ""
		}
		if g == it.stat.Group {
			g = ""
		}
		if o == "" && g == "" {
			return nil
		}
		if err := it.fs.chown(inv.ctx, it.path, o, g); err != nil {
			return changing("ownership", it, err)
		}
		return nil
	}
	return args[1:], nil
}
