package dfs

import (
	"strings"
	"unicode/utf8"
)

// Separator divides the components of a path.
const Separator = "/"

// Components checks an absolute path as a name node gets it and splits it into its
// components, none for the root. Repeated and trailing slashes are dropped, as HDFS
// does. It returns an InvalidPath error for a relative path, "." and ".." components,
// and names that hold a colon, NUL or invalid UTF-8.
//
// The components share memory with path.
func Components(path string) ([]string, error) {
	return AppendComponents(nil, path)
}

// AppendComponents is Components into a slice that the caller may reuse.
func AppendComponents(dst []string, path string) ([]string, error) {
	if path == "" || path[0] != '/' {
		return nil, &Error{Kind: InvalidPath, Path: path, Msg: "Invalid path name Invalid file name: " + path}
	}
	depth := 0
	for i := 1; i < len(path); {
		j := strings.IndexByte(path[i:], '/')
		if j < 0 {
			j = len(path) - i
		}
		if name := path[i : i+j]; name != "" {
			if !ValidComponent(name) {
				return nil, &Error{Kind: InvalidPath, Path: path, Msg: "Invalid path name Invalid file name: " + path}
			}
			dst = append(dst, name)
			if depth++; depth > MaxComponents {
				return nil, &Error{Kind: InvalidPath, Path: path, Msg: "Invalid path name: too many levels"}
			}
		}
		i += j + 1
	}
	return dst, nil
}

// ValidComponent reports whether name may stand between two slashes: not empty, not "."
// or "..", valid UTF-8 without '/', ':' or NUL, as HDFS's DFSUtil.isValidName has it.
// Length limits are the namespace's to check, since they are configurable.
func ValidComponent(name string) bool {
	if name == "" || name == "." || name == ".." {
		return false
	}
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '/' || c == ':' || c == 0:
			return false
		case c >= utf8.RuneSelf:
			return utf8.ValidString(name) && !strings.ContainsAny(name[i:], "/:\x00")
		}
	}
	return true
}

// Join puts components together to an absolute path.
func Join(components ...string) string {
	if len(components) == 0 {
		return "/"
	}
	n := 0
	for _, c := range components {
		n += 1 + len(c)
	}
	var b strings.Builder
	b.Grow(n)
	for _, c := range components {
		b.WriteByte('/')
		b.WriteString(c)
	}
	return b.String()
}

// Split cuts a clean absolute path into its parent and last component.
// The root gives "/" and "".
func Split(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/", strings.TrimPrefix(path, "/")
	}
	return path[:i], path[i+1:]
}
