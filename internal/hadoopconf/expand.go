package hadoopconf

import (
	"fmt"
	"strings"
)

// maxExpansions bounds the replacements in one value, as Hadoop does.
const maxExpansions = 20

// maxExpanded bounds the length of a value, so that keys that double each other stay small.
const maxExpanded = 1 << 20

// expand replaces ${name} by a system property, the environment (${env.NAME},
// ${env.NAME-default}, ${env.NAME:-default}) or another key, innermost first. From the
// first name on that nobody knows, or that leads back to itself, the text stays as it is.
func (c *Conf) expand(text string) (string, error) {
	var seen map[string]bool
	for n := 0; ; n++ {
		i, j := findVariable(text)
		if i < 0 {
			return text, nil
		}
		if n == maxExpansions {
			return "", fmt.Errorf("at most %d ${} in one value", maxExpansions)
		}
		value, ok := c.variable(text[i+2 : j])
		self := text[i : j+1]
		if !ok || seen[text] || strings.Contains(value, self) {
			return text, nil
		}
		if len(text)+len(value) > maxExpanded {
			return "", fmt.Errorf("at most %d characters once ${} is replaced", maxExpanded)
		}
		if seen == nil {
			seen = map[string]bool{}
		}
		seen[text] = true
		text = text[:i] + value + text[j+1:]
	}
}

// findVariable gives the place of the first "${" and its "}" with a name between them
// that holds no blank, "$" or "}"; -1 when there is none.
func findVariable(s string) (open, end int) {
	open = -1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '$':
			open = -1
			if i+1 < len(s) && s[i+1] == '{' {
				open = i
				i++
			}
		case ' ':
			open = -1
		case '}':
			if open >= 0 && i > open+2 {
				return open, i
			}
			open = -1
		}
	}
	return -1, -1
}

func (c *Conf) variable(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, "env."); ok {
		return c.envVariable(rest)
	}
	if v, ok := c.sys.Properties[name]; ok {
		return v, true
	}
	if s, ok := c.values[name]; ok {
		return s.raw, true
	}
	if k := c.keys[name]; k != nil {
		return k.Default, true
	}
	return "", false
}

func (c *Conf) envVariable(expr string) (string, bool) {
	dash := strings.IndexByte(expr, '-')
	if dash < 0 {
		return c.env(expr)
	}
	name, emptyToo := strings.CutSuffix(expr[:dash], ":")
	if v, ok := c.env(name); ok && (v != "" || !emptyToo) {
		return v, true
	}
	return expr[dash+1:], true
}
