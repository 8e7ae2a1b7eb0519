package main

import (
	"fmt"
	"strings"
)

var findCmd = &shellCmd{
	name: "find", args: "<path> ... <expression> ...",
	help: "Prints the paths below each path for which the expression is true.\n" +
		"Expressions: -name PATTERN, -iname PATTERN, -print, -print0, EXPRESSION -a EXPRESSION (-and, or side by side).",
	setup: setupFind,
}

// finding is one term of a find expression.
type finding func(it *item) (bool, error)

func setupFind(inv *invocation, args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usagef("Not enough arguments: expected 1 but got 0")
	}
	var paths []string
	for len(args) > 0 && (!strings.HasPrefix(args[0], "-") || args[0] == "-") {
		paths, args = append(paths, args[0]), args[1:]
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	terms, prints, depthFirst, err := inv.parseFind(args)
	if err != nil {
		return nil, err
	}
	if !prints {
		terms = append(terms, inv.printing("\n"))
	}
	evaluate := func(it *item) error {
		for _, t := range terms {
			if ok, err := t(it); !ok || err != nil {
				return err
			}
		}
		return nil
	}
	inv.recursive = true
	inv.steps.path = evaluate
	if depthFirst {
		inv.steps.path, inv.steps.after = func(*item) error { return nil }, evaluate
	}
	return paths, nil
}

// parseFind reads the expression. A term that prints turns the printing at the end off.
func (inv *invocation) parseFind(args []string) (terms []finding, prints, depthFirst bool, err error) {
	needTerm := false
	for len(args) > 0 {
		name := args[0]
		args = args[1:]
		switch name {
		case "-name", "-iname":
			if len(args) == 0 {
				return nil, false, false, usagef("Unexpected argument: %s", name)
			}
			t, err := matching(args[0], name == "-iname")
			if err != nil {
				return nil, false, false, err
			}
			terms, args = append(terms, t), args[1:]
		case "-print":
			terms, prints = append(terms, inv.printing("\n")), true
		case "-print0":
			terms, prints = append(terms, inv.printing("\x00")), true
		case "-a", "-and":
			if len(terms) == 0 || len(args) == 0 || needTerm {
				return nil, false, false, usagef("Unexpected argument: %s", name)
			}
			needTerm = true
			continue
		case "-d", "-depth":
			depthFirst = true
		default:
			return nil, false, false, fmt.Errorf("Unexpected argument: %s", name)
		}
		needTerm = false
	}
	return terms, prints, depthFirst, nil
}

func (inv *invocation) printing(end string) finding {
	return func(it *item) (bool, error) {
		_, err := fmt.Fprint(inv.out, it.String(), end)
		return true, err
	}
}

// matching tests the base name against a glob.
func matching(pattern string, fold bool) (finding, error) {
	if fold {
		pattern = strings.ToLower(pattern)
	}
	re, err := globRegexp(pattern)
	if err != nil {
		return nil, err
	}
	matches := func(name string) bool { return name == unescapeGlob(pattern) }
	if re != nil {
		matches = re.MatchString
	}
	return func(it *item) (bool, error) {
		name := baseName(it.path)
		if fold {
			name = strings.ToLower(name)
		}
		return matches(name), nil
	}, nil
}
