package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is one Go file of the main module.
type source struct {
	path      string // slash-separated, relative to the module
	dir       string
	lines     int
	test      bool
	generated bool
	ast       *ast.File
	set       *token.FileSet
}

// load parses every Go file of the module, interop (a module of its own) left out.
func load(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	set := token.NewFileSet()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "interop" || d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && rel != ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{
			path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), ast: file, set: set,
			lines:     set.File(file.Pos()).LineCount(),
			test:      strings.HasSuffix(rel, "_test.go"),
			generated: ast.IsGenerated(file),
		})
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// imports lists the packages of this module that a file imports, without the module's name.
func (s source) imports() []string {
	var list []string
	for _, spec := range s.ast.Imports {
		if path, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "redoubt/"); ok {
			list = append(list, path)
		}
	}
	return list
}

// stdImports lists everything else that a file imports.
func (s source) stdImports() []string {
	var list []string
	for _, spec := range s.ast.Imports {
		if path := strings.Trim(spec.Path.Value, `"`); !strings.HasPrefix(path, "redoubt/") {
			list = append(list, path)
		}
	}
	return list
}
