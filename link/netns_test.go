// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"dovesnap/spec"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// newNetns puts the test into a network namespace of its own. The thread is
// never unlocked: Go ends it with the test, and the namespace with it.
func newNetns(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("cannot make network namespace: %v", err)
	}
	ns.Close()
}

// sibling returns a second network namespace, which stands for a container's.
func sibling(t testing.TB) netns.NsHandle {
	t.Helper()
	here, err := netns.Get()
	must(t, err)
	defer here.Close()
	there, err := netns.New()
	must(t, err)
	must(t, netns.Set(here))
	t.Cleanup(func() { there.Close() })
	return there
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err says each of parts, in one line.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("error %q; want one line with %q", err, part)
		}
	}
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newLinks() *Links { return New(slog.New(slog.DiscardHandler)) }

func byName(t testing.TB, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	return link
}

func exists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// addVeth makes a pair that is not ours.
func addVeth(t testing.TB, name, peer string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	v := netlink.NewVeth(attrs)
	v.PeerName = peer
	must(t, netlink.LinkAdd(v))
}

func addBridge(t testing.TB, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
}

const networkID spec.NetworkID = "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"

func endpoint(short string) spec.Endpoint {
	id := spec.EndpointID(short + strings.Repeat("0", 64-len(short)))
	return spec.Endpoint{ID: id, Network: networkID, MAC: "02:42:ac:0c:00:08", OFPort: 1}
}

// update writes the golden files anew.
var update = flag.Bool("update", false, "write the golden files anew")

// volatile is what differs between machines and kernels in what iproute2 says.
var volatile = regexp.MustCompile(`(?m)^\d+: | qlen \d+|@if\d+|@\w+| link-netnsid \d+| link-netns \S+| group default`)
