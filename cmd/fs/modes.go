package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"redoubt/dfs"
)

var chmodCmd = &shellCmd{
	name: "chmod", args: "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
	help: "Changes permissions. MODE is [ugoa]+[+-=][rwxXt], OCTALMODE three digits or four with the sticky bit.\n" +
		"  -R  everything below too",
	setup: func(inv *invocation, args []string) ([]string, error) {
		f := flags{min: 2, max: -1, names: []string{"R"}}
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

// modeChange is a parsed mode argument.
type modeChange struct {
	octal  bool
	value  dfs.Mode
	sticky bool // the octal form had a fourth digit
	steps  []modeStep
}

// modeStep is one "who operation what".
type modeStep struct {
	who  dfs.Mode // the nine bits that may change
	op   byte
	bits dfs.Mode // rwx for each of who
	exec bool     // X
	t    bool
}

var (
	octalMode    = regexp.MustCompile(`^\s*[+]?([01]?)([0-7]{3})\s*$`)
	symbolicMode = regexp.MustCompile(`^\s*([ugoa]*)([+=-]+)([rwxXt]+)\s*$`)
)

func parseModeChange(s string) (*modeChange, error) {
	bad := usagef("chmod : mode '%s' does not match the expected pattern.", s)
	if m := octalMode.FindStringSubmatch(s); m != nil {
		v, err := strconv.ParseUint(m[1]+m[2], 8, 16)
		if err != nil {
			return nil, bad
		}
		return &modeChange{octal: true, value: dfs.Mode(v), sticky: m[1] != ""}, nil
	}
	c := &modeChange{}
	for _, part := range strings.Split(s, ",") {
		m := symbolicMode.FindStringSubmatch(part)
		if m == nil {
			return nil, bad
		}
		c.steps = append(c.steps, parseModeStep(m[1], m[2][len(m[2])-1], m[3]))
	}
	return c, nil
}

func parseModeStep(who string, op byte, what string) modeStep {
	step := modeStep{op: op}
	if who == "" {
		who = "a"
	}
	for _, w := range who {
		switch w {
		case 'u':
			step.who |= 0o700
		case 'g':
			step.who |= 0o070
		case 'o':
			step.who |= 0o007
		case 'a':
			step.who |= 0o777
		}
	}
	for _, w := range what {
		switch w {
		case 'r':
			step.bits |= 0o444
		case 'w':
			step.bits |= 0o222
		case 'x':
			step.bits |= 0o111
		case 'X':
			step.exec = true
		case 't':
			step.t = true
		}
	}
	return step
}

// apply gives the mode that m becomes.
func (c *modeChange) apply(m dfs.Mode, dir bool) dfs.Mode {
	if c.octal {
		return c.value
	}
	for _, s := range c.steps {
		bits := s.bits & s.who
		if s.exec && (dir || m&0o111 != 0) {
			bits |= 0o111 & s.who
		}
		switch s.op {
		case '+':
			m |= bits
			if s.t {
				m |= dfs.Sticky
			}
		case '-':
			m &^= bits
			if s.t {
				m &^= dfs.Sticky
			}
		case '=':
			m = m&^s.who | bits
			if s.t {
				m |= dfs.Sticky
			}
		}
	}
	return m
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
