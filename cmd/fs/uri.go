package main

import (
	"cmp"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// uri is a path of any file system, taken apart but not interpreted: no character
// other than the colon after the scheme and the slashes has a meaning.
type uri struct {
	scheme    string // "" when not given
	authority string
	path      string
	slashes   bool // "//" stood before the authority
}

// typedURI splits what a user typed the way the shell shows it again: a scheme counts
// only when a slash follows its colon.
func typedURI(s string) uri {
	var u uri
	if p, ok := drivePath(s); ok {
		return uri{path: p}
	}
	colon, slash := strings.IndexByte(s, ':'), strings.IndexByte(s, '/')
	if colon > 0 && slash == colon+1 {
		u.scheme, s = s[:colon], s[colon+1:]
	}
	if strings.HasPrefix(s, "//") && len(s) > 2 {
		u.slashes = true
		s = s[2:]
		if i := strings.IndexByte(s, '/'); i > 0 {
			u.authority, s = s[:i], s[i:]
		} else if i < 0 {
			u.authority, s = s, ""
		}
	}
	u.path = s
	return u
}

// String puts the parts together as the user typed them; an empty authority leaves no
// slashes behind unless there is a scheme.
func (u uri) String() string {
	var b strings.Builder
	if u.scheme != "" {
		b.WriteString(u.scheme)
		b.WriteByte(':')
	}
	if u.authority != "" || u.slashes && u.scheme != "" {
		b.WriteString("//")
		b.WriteString(u.authority)
	}
	b.WriteString(u.path)
	return b.String()
}

// parsePath reads s as a path to be looked up: repeated and trailing slashes, "." and
// ".." are gone from the result. A relative path with a scheme and an empty path are
// usage errors.
func parsePath(s string) (uri, error) {
	if s == "" {
		return uri{}, usagef("Can not create a Path from an empty string")
	}
	if p, ok := drivePath(s); ok {
		return uri{path: cleanPath(p)}, nil
	}
	var u uri
	rest := s
	colon, slash := strings.IndexByte(s, ':'), strings.IndexByte(s, '/')
	if colon >= 0 && (slash < 0 || colon < slash) {
		u.scheme, rest = s[:colon], s[colon+1:]
	}
	if strings.HasPrefix(rest, "//") && len(rest) > 2 {
		u.slashes = true
		rest = rest[2:]
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			u.authority, rest = rest[:i], rest[i:]
		} else {
			u.authority, rest = rest, ""
		}
	}
	if u.scheme != "" && u.authority == "" && !strings.HasPrefix(rest, "/") {
		return uri{}, usagef("java.net.URISyntaxException: Relative path in absolute URI: %s", s)
	}
	if colon == 0 {
		return uri{}, usagef("java.net.URISyntaxException: Expected scheme name at index 0: %s", s)
	}
	u.path = cleanPath(rest)
	return u, nil
}

// withoutColon refuses a name with a colon in it, which Java takes for a scheme's when it
// puts paths together. A name behind one with a wildcard is not looked at.
func withoutColon(p string) error {
	if osPath(p) != p {
		p = p[len("/C:"):] // the drive's colon is no mistake
	}
	for name := range strings.SplitSeq(p, "/") {
		if strings.ContainsAny(name, "*?[{") {
			return nil
		}
		if strings.Contains(name, ":") {
			return usagef("java.net.URISyntaxException: Relative path in absolute URI: %s", name)
		}
	}
	return nil
}

// cleanPath normalises p but keeps it relative or absolute as it was; the empty path
// stays empty. Leading ".." of an absolute path stays, as in Java's URIs.
func cleanPath(p string) string {
	if p == "" {
		return ""
	}
	if !strings.HasPrefix(p, "/") {
		if p = path.Clean(p); p == "." {
			return ""
		}
		return p
	}
	return path.Clean(p)
}

// joinPath makes p absolute under dir.
func joinPath(dir, p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	return path.Join(dir, p)
}

// baseName is the last component of a clean path, "" for the root.
func baseName(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }

// parentPath is the parent of an absolute clean path, "" for the root.
func parentPath(p string) string {
	if p == "/" {
		return ""
	}
	return path.Dir(p)
}

// relativeTo shows target as seen from the directory cwd: "." for itself, "../x" for a
// neighbour.
func relativeTo(cwd, target string, isDir bool) string {
	if cwd == target {
		return "."
	}
	last := commonDir(cwd, target, isDir)
	rel := ""
	if last < len(target) {
		rel = target[last+1:]
	}
	if last < len(cwd) {
		for at := last; at != -1; {
			if rel != "" {
				rel = "/" + rel
			}
			rel = ".." + rel
			next := strings.IndexByte(cwd[min(at+1, len(cwd)):], '/')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	return rel
}

// commonDir gives the index of the last slash that both paths share.
func commonDir(cwd, target string, isDir bool) int {
	if !strings.HasSuffix(cwd, "/") {
		cwd += "/"
	}
	if isDir && !strings.HasSuffix(target, "/") {
		target += "/"
	}
	last := -1
	for i := 0; i < min(len(cwd), len(target)) && cwd[i] == target[i]; i++ {
		if cwd[i] == '/' {
			last = i
		}
	}
	return last
}

// sortKey is the form of a path by which Hadoop's shell orders: the path of a Java URI,
// in which what may not stand there as it is has become %XX.
func sortKey(p string) string {
	if strings.IndexFunc(p, escaped) < 0 {
		return p
	}
	var b strings.Builder
	for _, r := range p {
		if !escaped(r) {
			b.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}

// toDrivePath turns a path of Windows with a drive's letter into the form that Hadoop has
// for it, in which it begins with a slash as every absolute path: C:\dir is /C:/dir.
func toDrivePath(s string) (string, bool) {
	if len(s) < 3 || s[1] != ':' || s[2] != '\\' && s[2] != '/' || !isLetter(s[0]) {
		return "", false
	}
	return "/" + strings.ReplaceAll(s, `\`, "/"), true
}

// fromDrivePath is the other way round; a path without a drive stays.
func fromDrivePath(p string) string {
	if len(p) < 3 || p[0] != '/' || p[2] != ':' || !isLetter(p[1]) || len(p) > 3 && p[3] != '/' {
		return p
	}
	if p = p[1:]; len(p) == 2 {
		p += "/" // the drive's root, not its working directory
	}
	return strings.ReplaceAll(p, "/", `\`)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// escaped are the characters that a Java URI's path does not hold as they are: of the
// others than ASCII those that Java calls blanks or control characters.
func escaped(r rune) bool {
	return r <= ' ' || r >= 0x7f && r < 0xa0 || strings.ContainsRune("\"<>#%{}|\\^[]`?", r) || r >= 0xa0 && unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp)
}

// compareUTF16 compares by UTF-16 units, as Java does: a character beyond the basic plane
// comes before those from U+E000 on.
func compareUTF16(a, b string) int {
	for a != "" && b != "" {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			if (x > 0xffff) != (y > 0xffff) && min(x, y) >= 0xe000 {
				return cmp.Compare(y, x)
			}
			return cmp.Compare(x, y)
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}
