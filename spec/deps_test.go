// SPDX-License-Identifier: Apache-2.0

package spec_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// may says which of the project's packages each package may import; a package
// that is not listed may import any. The direction: spec knows nobody, what
// touches the host knows spec alone, and only the engine and those above it
// know one another.
var may = map[string][]string{
	"spec":       {},
	"whole":      {},
	"ovs":        {"spec"},
	"link":       {"spec"},
	"nat":        {"spec"},
	"faucet":     {"spec", "whole"},
	"dhcp":       {"spec"},
	"supervisor": {"spec", "whole"},
	"config":     {"spec"},
	"status":     {"spec"},
	"service":    {"systemd"},
}

func TestDependencyDirection(t *testing.T) {
	seen := 0
	for dir, allowed := range may {
		imports := importsOf(t, filepath.Join("..", dir))
		if len(imports) > 0 {
			seen++
		}
		for path, file := range imports {
			own, inside := strings.CutPrefix(path, "dovesnap/")
			switch {
			case inside && !slices.Contains(allowed, strings.SplitN(own, "/", 2)[0]) && strings.SplitN(own, "/", 2)[0] != dir:
				t.Errorf("%s imports %s; package %s may import %v", file, path, dir, allowed)
			case dir == "spec" && strings.Contains(strings.SplitN(path, "/", 2)[0], "."):
				t.Errorf("%s imports %s; package spec imports the standard library only", file, path)
			}
		}
	}
	if seen == 0 {
		t.Error("no package was found")
	}
}

// importsOf returns what a folder's packages import outside of tests, each with
// a file that does; none when there is no such folder.
func importsOf(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return out
	}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range parsed.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			out[path] = file
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
