// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"dovesnap/e2e/host"
)

var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// showLogs keeps what the guest had to say, in the cache, and shows the end of it.
func (g *Guest) showLogs() {
	dir := filepath.Join(host.CacheDir(), "vm", "failed",
		fmt.Sprintf("%s-%d", unsafeInName.ReplaceAllString(g.t.Name(), "-"), time.Now().Unix()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		g.t.Log(err)
		return
	}
	console, _ := os.ReadFile(filepath.Join(g.m.dir, "console.log"))
	logs := map[string]string{"console": string(console)}
	if g.m.agent != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's has ended
		defer cancel()
		text, err := g.m.sh(ctx, "journalctl --boot --no-pager --output=short-precise; systemctl --failed --no-pager")
		if err != nil {
			text += fmt.Sprintf("\n(%v)", err)
		}
		logs["journal"] = text
	}
	for name, text := range logs {
		path := filepath.Join(dir, name+".log")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			g.t.Log(err)
		}
		const most = 100
		all := strings.Split(strings.TrimRight(text, "\n"), "\n")
		g.t.Logf("== the end of %s\n%s", path, strings.Join(all[max(0, len(all)-most):], "\n"))
	}
}
