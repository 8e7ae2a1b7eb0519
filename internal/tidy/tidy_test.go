package tidy

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bands is the import lattice of docs/architecture.md: a package imports only from
// bands below its own, and from the listed neighbours in its own band.
var bands = map[string]int{
	"dfs": 0, "vfs": 0, "vfs/faultfs": 0, "vfs/slowfs": 0, "vfs/vfstest": 0, "raid": 0,
	"editlog": 1, "fsimage": 1, "blockstore": 1, "blockstore/array": 1, "blockstore/storetest": 1, "namespace": 1, "blockmanager": 1,
	"wire/hadooprpc": 1, "wire/hdfspb": 1, "wire/datatransfer": 1, "wire/control": 1,
	"journal": 2, "client": 2, "namenode": 2, "datanode": 2, "wire/clientrpc": 2, "wire/datanoderpc": 2,
	"web": 2, "web/fsck": 2, "bench": 3, "redundancy": 3, "redundancy/result": 0, "redundancy/fleet": 1, "redundancy/report": 2, "ha": 3,
	"cmd/namenode": 4, "cmd/datanode": 4, "cmd/fs": 4,
}

// neighbours are the imports inside one band that are meant.
var neighbours = map[string][]string{
	"wire/hadooprpc":    {"wire/hdfspb"},
	"wire/datatransfer": {"wire/hdfspb"},
	"wire/datanoderpc":  {"wire/clientrpc"},
	"wire/control":      {"wire/hadooprpc", "wire/hdfspb"},
	"namenode":          {"journal", "web"},
	"datanode":          {"web", "wire/datanoderpc"}, // which speaks to peers of both kinds
	"client":            {"wire/clientrpc"},          // the table of error kinds and Java classes
	"vfs":               {"dfs"},
	"vfs/faultfs":       {"vfs", "dfs"},
	"vfs/slowfs":        {"vfs"},
	"vfs/vfstest":       {"vfs", "dfs"},
}

func TestImportsGoDownOnly(t *testing.T) {
	for _, s := range load(t) {
		if s.test || strings.HasPrefix(s.dir, "internal/") {
			continue
		}
		band, known := bands[s.dir]
		if !assert.True(t, known, "%s: package %s has no band: give it one in internal/tidy", s.path, s.dir) {
			continue
		}
		for _, imp := range s.imports() {
			if strings.HasPrefix(imp, "internal/") || strings.HasPrefix(imp, s.dir+"/") {
				continue
			}
			to, known := bands[imp]
			assert.True(t, known && (to < band || slices.Contains(neighbours[s.dir], imp)),
				"%s (band %d) imports %s (band %d)", s.path, band, imp, to)
		}
	}
}

// banned calls or packages, where they are banned, and what to use instead.
var banned = []struct {
	what    *regexp.Regexp // an import path
	in      func(dir string) bool
	instead string
}{
	{regexp.MustCompile(`^os$`), notIn("vfs", "cmd/", "internal/", "namenode", "bench"), "the file system goes through vfs.FS"},
	{regexp.MustCompile(`^(time|math/rand|math/rand/v2|os|sync|net)$`), in("namespace"), "the op carries what Apply needs: no clock, randomness, locks or network in the state machine"},
	{regexp.MustCompile(`^(log)$`), everywhere, "log/slog"},
	{regexp.MustCompile(`^io/ioutil$`), everywhere, "io and os"},
}

func everywhere(string) bool { return true }

func in(dirs ...string) func(string) bool {
	return func(dir string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return dir == strings.TrimSuffix(d, "/") || strings.HasPrefix(dir, d) })
	}
}

func notIn(dirs ...string) func(string) bool {
	inside := in(dirs...)
	return func(dir string) bool { return !inside(dir) }
}

func TestBannedImports(t *testing.T) {
	for _, s := range load(t) {
		if s.test || s.generated {
			continue
		}
		for _, imp := range s.stdImports() {
			for _, b := range banned {
				assert.False(t, b.in(s.dir) && b.what.MatchString(imp), "%s imports %s: %s", s.path, imp, b.instead)
			}
		}
	}
}

// TestNoSleepInTests: a test waits for an event or runs in virtual time.
func TestNoSleepInTests(t *testing.T) {
	for _, s := range load(t) {
		if !s.test || s.dir == "internal/tidy" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok || call.Sel.Name != "Sleep" {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			virtual := usesSynctest(s)
			assert.False(t, ok && pkg.Name == "time" && !virtual, "%s sleeps: wait for an event, or use testing/synctest", s.set.Position(call.Pos()))
			return true
		})
	}
}

// usesSynctest: inside a synctest bubble a sleep is virtual time, which is the point.
func usesSynctest(s source) bool { return slices.Contains(s.stdImports(), "testing/synctest") }

func TestPackageComments(t *testing.T) {
	comment := map[string]string{}
	for _, s := range load(t) {
		if s.test {
			continue
		}
		if _, seen := comment[s.dir]; !seen {
			comment[s.dir] = ""
		}
		if s.ast.Doc != nil {
			comment[s.dir] += s.ast.Doc.Text()
		}
	}
	for dir, text := range comment {
		assert.GreaterOrEqual(t, strings.Count(text, "."), 2, "package %s: the package comment needs at least two sentences (and no blank line before the clause)", dir)
		base := filepath.Base(dir)
		assert.NotContains(t, []string{"util", "utils", "common", "types", "base", "helpers"}, base, "package %s: name it after what it does", dir)
	}
}

// TestExportedNamesHaveDocs covers top-level functions, methods of exported types, and types.
func TestExportedNamesHaveDocs(t *testing.T) {
	for _, s := range load(t) {
		if s.test || s.generated || strings.HasPrefix(s.dir, "cmd/") {
			continue
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && !wellKnown[d.Name.Name] {
					assert.NotNil(t, d.Doc, "%s: %s has no doc comment", s.set.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && s.dir != "wire/control" {
						assert.True(t, d.Doc != nil || ts.Doc != nil || ts.Comment != nil, "%s: type %s has no doc comment", s.set.Position(ts.Pos()), ts.Name.Name)
					}
				}
			}
		}
	}
}

// wellKnown methods have their meaning from the standard library's interfaces.
var wellKnown = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "String": true, "Close": true, "Read": true, "Write": true,
	"ReadAt": true, "WriteAt": true, "Seek": true, "Len": true, "Less": true, "Swap": true, "Name": true,
	"Size": true, "Mode": true, "ModTime": true, "IsDir": true, "Sys": true, "Type": true, "Info": true, "Stat": true,
	"Sync": true, "Truncate": true, "MarshalJSON": true, "UnmarshalJSON": true, "Push": true, "Pop": true,
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// House numbers. An entry in overlong names a function or file that is longer on purpose.
const (
	maxFunc     = 70
	maxFile     = 500
	maxTestFile = 800
	maxMethods  = 12
	maxFields   = 20
)

func TestHouseNumbers(t *testing.T) {
	allowed := readExceptions(t)
	used := map[string]bool{}
	check := func(key, format string, args ...any) {
		if allowed[key] {
			used[key] = true
			return
		}
		assert.Fail(t, key+": "+fmt.Sprintf(format, args...))
	}
	for _, s := range load(t) {
		if s.generated {
			continue
		}
		limit := maxFile
		if s.test {
			limit = maxTestFile
		}
		if s.lines > limit {
			check(s.path, "%d lines, at most %d", s.lines, limit)
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				n := s.set.Position(d.End()).Line - s.set.Position(d.Pos()).Line + 1
				if n > maxFunc && !s.test {
					check(s.path+":"+d.Name.Name, "%d lines, at most %d", n, maxFunc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					ts, ok := spec.(*ast.TypeSpec)
					if !ok || s.test {
						continue
					}
					switch typ := ts.Type.(type) {
					case *ast.InterfaceType:
						if typ.Methods.NumFields() > maxMethods {
							check(s.path+":"+ts.Name.Name, "%d methods, at most %d", typ.Methods.NumFields(), maxMethods)
						}
					case *ast.StructType:
						if typ.Fields.NumFields() > maxFields {
							check(s.path+":"+ts.Name.Name, "%d fields, at most %d", typ.Fields.NumFields(), maxFields)
						}
					}
				}
			}
		}
	}
	for key := range allowed {
		assert.True(t, used[key], "testdata/overlong.txt: %s is no longer too long: remove the line", key)
	}
}

func readExceptions(t *testing.T) map[string]bool {
	data, err := os.ReadFile("testdata/overlong.txt")
	require.NoError(t, err)
	m := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			m[line] = true
		}
	}
	return m
}

// TestRenameOnlyWhereItIsMeant: whole files are published by vfs.FS.Publish.
func TestRenameOnlyWhereItIsMeant(t *testing.T) {
	allowed := in("vfs", "blockstore", "client", "cmd/fs", "namenode", "namespace", "wire/", "internal/", "bench")
	for _, s := range load(t) {
		if s.test || s.generated || allowed(s.dir) {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Rename" {
				file := strings.TrimPrefix(filepath.Base(s.path), s.dir)
				assert.True(t, slices.Contains(renames[s.dir], file), "%s: publish whole files with vfs.FS.Publish; list the file in internal/tidy if a rename is meant", s.set.Position(sel.Pos()))
			}
			return true
		})
	}
}

// renames are the files that rename on purpose: setting damaged files aside, finishing a segment, taking VERSION away.
var renames = map[string][]string{
	"editlog": {"writer.go"},
	"fsimage": {"store.go"},
	"journal": {"aside.go", "format.go"},
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestLinksInDocuments: what a page links to is there.
func TestLinksInDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "interop/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		pages = append(pages, found...)
	}
	require.NotEmpty(t, pages)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(page), m[1]))
			assert.NoError(t, err, "%s links to %s", page, m[1])
		}
	}
}
