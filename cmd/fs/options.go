package main

import (
	"slices"
	"strings"

	"redoubt/internal/hadoopconf"
)

// flags parses a command's options: single words after one dash, anywhere before the
// first path. "-" is a path (standard input), "--" ends the options.
type flags struct {
	min, max int      // number of paths; max < 0 is any
	names    []string // options without a value
	valued   []string // options with a value
	lenient  bool     // an unknown option is a path

	given  map[string]bool
	values map[string]string
}

// parse takes the options out of args and returns what is left.
func (f *flags) parse(args []string) ([]string, error) {
	f.given, f.values = map[string]bool{}, map[string]string{}
	var kept []string
	for len(args) > 0 {
		arg := args[0]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			break
		}
		if arg == "--" {
			args = args[1:]
			break
		}
		switch opt := arg[1:]; {
		case slices.Contains(f.names, opt):
			f.given[opt] = true
			args = args[1:]
		case slices.Contains(f.valued, opt):
			args = args[1:]
			f.values[opt] = "" // there is none, as in Hadoop
			if len(args) > f.min && (!strings.HasPrefix(args[0], "-") || args[0] == "-") {
				f.values[opt] = args[0]
				args = args[1:]
			}
		case f.lenient:
			kept, args = append(kept, arg), args[1:]
		default:
			return nil, usagef("Illegal option %s", arg)
		}
	}
	if len(kept) > 0 {
		args = append(kept, args...)
	}
	if len(args) < f.min {
		return nil, usagef("Not enough arguments: expected %d but got %d", f.min, len(args))
	}
	if f.max >= 0 && len(args) > f.max {
		return nil, usagef("Too many arguments: expected %d but got %d", f.max, len(args))
	}
	return args, nil
}

// threads checks the values of -t and -q, how many copies at a time and how many waiting.
// Files are copied one after the other, whatever they are.
func (f *flags) threads() error {
	for _, opt := range []string{"t", "q"} {
		if v, ok := f.values[opt]; ok {
			if _, err := hadoopconf.ParseInt(v, 32); err != nil {
				return &errUsage{err.Error()}
			}
		}
	}
	return nil
}
