package damage

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPromises looks for every test that the page names as the one which holds a promise.
func TestPromises(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(page), "### What the docs promise about damage")
	require.True(t, ok)
	table, _, ok = strings.Cut(table, "\n## ")
	require.True(t, ok)
	homes := map[string]string{"journal": "../../journal", "editlog": "../../editlog", "blockstore": "../../blockstore", "damage": "."}
	tests := map[string]bool{}
	for name, dir := range homes {
		sources, err := filepath.Glob(dir + "/*_test.go")
		require.NoError(t, err)
		for _, source := range sources {
			file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
			require.NoError(t, err)
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
					tests[name+"."+f.Name.Name] = true
				}
			}
		}
	}
	named := regexp.MustCompile("`(\\w+\\.Test\\w+)`").FindAllStringSubmatch(table, -1)
	require.Greater(t, len(named), 25)
	for _, n := range named {
		require.True(t, tests[n[1]], "there is no %s", n[1])
	}
	for row := range strings.Lines(table) {
		if strings.HasPrefix(row, "| ") && !strings.HasPrefix(row, "| promise") {
			require.Contains(t, row, ".Test", "a promise without a test")
		}
	}
}
