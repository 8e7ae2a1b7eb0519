package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"redoubt/dfs"
)

// expandGlob finds what an argument means: the path itself when it holds no glob, else
// every path that matches, in path order. A path without glob that isn't there gives an
// item without status; a glob without match is an error.
func (inv *invocation) expandGlob(arg string) ([]*item, error) {
	items, err := inv.shell.glob(inv.ctx, arg)
	if err == nil && len(items) == 0 {
		return nil, notFound(arg)
	}
	return items, err
}

// glob is expandGlob for which no match is no error.
func (sh *shell) glob(ctx context.Context, arg string) ([]*item, error) {
	p, err := parsePath(arg)
	if err != nil {
		return nil, err
	}
	f, err := sh.system(p.scheme, p.authority)
	if err != nil {
		return nil, err
	}
	g := globber{ctx: ctx, fs: f, seen: map[string]bool{}}
	patterns, err := expandBraces(p.path)
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		if err := withoutColon(pattern); err != nil {
			return nil, err
		}
		if err := g.match(joinPattern(f.home(), pattern)); err != nil {
			return nil, err
		}
	}
	if len(g.found) == 0 && !g.wild {
		it, err := newItem(f, unescapeGlob(arg), nil)
		return []*item{it}, err
	}
	for _, it := range g.found {
		it.typed = shownMatch(f, p, it)
	}
	sortItems(g.found)
	return g.found, nil
}

// shownMatch is how a match is shown: with scheme, absolute or relative, as its pattern.
func shownMatch(f fileSystem, pattern uri, it *item) uri {
	switch {
	case pattern.scheme != "":
		u := typedURI(f.uri() + it.path)
		u.slashes = true
		if pattern.authority == "" {
			u.authority = ""
		}
		if u.scheme == "file" && pattern.authority == "" {
			u.slashes = pattern.slashes
		}
		return u
	case strings.HasPrefix(pattern.path, "/"):
		return uri{path: it.path}
	}
	return uri{path: relativeTo(f.home(), it.path, it.isDir())}
}

// joinPattern makes a pattern absolute.
func joinPattern(home, pattern string) string {
	if strings.HasPrefix(pattern, "/") {
		return pattern
	}
	return joinPath(escapeGlob(home), pattern)
}

// globber walks a file system along patterns.
type globber struct {
	ctx   context.Context
	fs    fileSystem
	found []*item
	seen  map[string]bool
	wild  bool // some component of some pattern was a glob
}

// match adds what one absolute pattern without braces matches.
func (g *globber) match(pattern string) error {
	candidates := []string{"/"}
	stats := map[string]*dfs.FileStatus{}
	var parts []string
	for _, part := range strings.Split(pattern, "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	for i, part := range parts {
		re, err := globRegexp(part)
		if err != nil {
			return err
		}
		var next []string
		for _, dir := range candidates {
			if re == nil {
				next = append(next, joinPath(dir, unescapeGlob(part)))
				continue
			}
			names, err := g.children(dir, re, i == len(parts)-1, stats)
			if err != nil {
				return err
			}
			next = append(next, names...)
		}
		if re != nil {
			g.wild = true
		}
		candidates = next
	}
	for _, p := range candidates {
		stat := stats[p]
		if stat == nil {
			var err error
			if stat, err = g.fs.stat(g.ctx, p); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
		}
		if !g.seen[p] {
			g.seen[p] = true
			g.found = append(g.found, &item{fs: g.fs, path: p, stat: stat})
		}
	}
	return nil
}

// children lists the entries of dir that match. Only directories count unless it is the
// last component.
func (g *globber) children(dir string, re *regexp.Regexp, last bool, stats map[string]*dfs.FileStatus) ([]string, error) {
	here, err := g.fs.stat(g.ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && here.Type != typeDirectory {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := g.fs.list(g.ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for i := range entries {
		if !re.MatchString(entries[i].Name) || !last && entries[i].Type != typeDirectory {
			continue
		}
		p := joinPath(dir, entries[i].Name)
		if last {
			stats[p] = &entries[i]
		}
		out = append(out, p)
	}
	return out, nil
}

// globRegexp translates one component: ? * [abc] [^a-z] and {x,y}; a backslash takes the
// next character as it is. It gives nil when the component holds no glob.
func globRegexp(glob string) (*regexp.Regexp, error) {
	g := globTranslator{glob: glob}
	g.out.WriteString("(?s)^")
	for i := 0; i < len(glob); i++ {
		if glob[i] == '\\' {
			if i++; i >= len(glob) {
				return nil, globError("Missing escaped character", glob)
			}
			g.out.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		} else if g.set && glob[i] != ']' {
			g.inSet(i)
		} else {
			g.outside(i)
		}
	}
	switch {
	case g.set:
		return nil, globError("Unclosed character class", glob)
	case g.curly > 0:
		return nil, globError("Unclosed group", glob)
	case !g.wild:
		return nil, nil
	}
	re, err := regexp.Compile(g.out.String() + "$")
	if err != nil {
		return nil, fmt.Errorf("Illegal file pattern: %s", glob)
	}
	return re, nil
}

// globTranslator is the state of globRegexp.
type globTranslator struct {
	glob  string
	out   strings.Builder
	set   bool // inside [ ]
	curly int  // open { }
	wild  bool // some character was a glob
}

// inSet translates a character of a [set].
func (g *globTranslator) inSet(i int) {
	first := g.glob[i-1] == '['
	switch c := g.glob[i]; {
	case (c == '!' || c == '^') && first:
		g.out.WriteByte('^')
	case c == '[' || c == '^':
		g.out.WriteString(`\` + string(c))
	default:
		g.out.WriteByte(c)
	}
}

// outside translates a character outside of sets, or the end of one.
func (g *globTranslator) outside(i int) {
	switch c := g.glob[i]; {
	case c == '*':
		g.special(".*")
	case c == '?':
		g.special(".")
	case c == '{':
		g.special("(?:")
		g.curly++
	case c == ',' && g.curly > 0:
		g.out.WriteByte('|')
	case c == '}' && g.curly > 0:
		g.curly--
		g.out.WriteByte(')')
	case c == '[':
		g.special("[")
		g.set = true
	case c == ']' && g.set:
		g.set = false
		g.out.WriteByte(']')
	case c < 0x80:
		g.out.WriteString(regexp.QuoteMeta(g.glob[i : i+1]))
	default:
		g.out.WriteByte(c) // part of a longer character
	}
}

func (g *globTranslator) special(re string) {
	g.wild = true
	g.out.WriteString(re)
}

func globError(what, glob string) error {
	return fmt.Errorf("Illegal file pattern: error parsing regexp: %s at pos %d: `%s`", what, len(glob), glob)
}

// expandBraces replaces {a,b} groups that hold a slash by one pattern for each choice;
// groups within a component stay for globRegexp.
func expandBraces(pattern string) ([]string, error) {
	open, close, slash := -1, -1, false
	depth := 0
	for i := 0; i < len(pattern) && close < 0; i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case c == '{':
			if depth == 0 {
				open, slash = i, false
			}
			depth++
		case c == '}' && depth > 0:
			if depth--; depth == 0 && slash {
				close = i
			}
		case c == '/' && depth > 0:
			slash = true
		}
	}
	if close < 0 {
		return []string{pattern}, nil
	}
	var out []string
	for _, choice := range splitChoices(pattern[open+1 : close]) {
		more, err := expandBraces(pattern[:open] + choice + pattern[close+1:])
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// splitChoices cuts at the commas outside of inner braces.
func splitChoices(s string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// unescapeGlob takes the backslashes away that kept characters from being globs.
func unescapeGlob(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// escapeGlob makes a pattern that matches only s.
func escapeGlob(s string) string {
	if !strings.ContainsAny(s, `\*?[]{}`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(`\*?[]{}`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
