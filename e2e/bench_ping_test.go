// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dovesnap/e2e/host"
)

// firstPing measures how soon a new container's network works. Once from the
// moment `docker run -d` has returned: the pinger is opened in the container's
// namespace before that, and its requests go out every millisecond from then
// on. And once as the container itself sees it, whose first act is a ping.
func (bn *bench) firstPing() {
	const rounds = 12
	returned, act := map[string]samples{}, map[string]samples{}
	turns(rounds, func(_ int, c contender) {
		before := bn.sandboxes()
		type opened struct {
			*pinger
			error
		}
		opening := make(chan opened, 1)
		go func() {
			p, err := bn.pingerInNext(before, c.gateway)
			opening <- opened{p, err}
		}()
		bn.container("one", c.network)
		began := time.Now()
		o := <-opening
		if o.error != nil {
			bn.t.Fatal(o.error)
		}
		t := o.ping(time.Millisecond, func(t trace) bool { return !t.first().IsZero() || time.Since(began) > patience })
		if t.first().IsZero() {
			bn.t.Fatalf("%s: no ping was answered", c.network)
		}
		add(returned, c, t.first().Sub(began))
		bn.docker("rm", "-f", "one")
		bn.settle()

		said := bn.docker("run", "--rm", "--net="+c.network, "busybox", "ping", "-c1", "-W20", c.gateway)
		_, rest, _ := strings.Cut(said, " time=")
		took, err := strconv.ParseFloat(strings.Fields(rest + " ?")[0], 64)
		if err != nil {
			bn.t.Fatalf("cannot read what ping says: %s", said)
		}
		act[c.network] = append(act[c.network], took)
		bn.settle()
	})
	t := bn.report.table(fmt.Sprintf("first ping to the gateway, ms: median and slowest of %d", rounds), append(columns, "goal")...)
	t.compare("its answer, after docker run returned", returned, most, "< 50")
	t.compare("its round trip, as the container's first act", act, most, "")
}

const sandboxDir = "/run/docker/netns"

// sandboxes returns the network namespaces that Docker has made.
func (bn *bench) sandboxes() map[string]bool {
	names := map[string]bool{}
	_ = bn.Files(func() error {
		entries, err := os.ReadDir(sandboxDir)
		for _, e := range entries {
			names[e.Name()] = true
		}
		return err
	})
	return names
}

// pingerInNext waits for Docker to make one more and opens a pinger in it.
func (bn *bench) pingerInNext(before map[string]bool, to string) (p *pinger, err error) {
	err = host.Await(bn.ctx, "a new network namespace", func() error {
		for name := range bn.sandboxes() {
			if before[name] {
				continue
			}
			p, err = bn.newPinger(filepath.Join(sandboxDir, name), to)
			return err // a file that is not mounted on yet is none
		}
		return errors.New("there is none")
	})
	return p, err
}
