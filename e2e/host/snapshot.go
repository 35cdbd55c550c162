// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A probe is one part of a Snapshot: a command, and what to do to each line it
// prints; a line that becomes empty is dropped.
type probe struct {
	title string
	argv  []string
	line  func(string) string
	sort  bool
}

var (
	counters  = regexp.MustCompile(`\[\d+:\d+\]`)
	linkIndex = regexp.MustCompile(`^\d+: `)
	unixctl   = regexp.MustCompile(`\.\d+\.ctl$`)
	// What changes by itself: operational state, queues, lifetimes.
	linkState = regexp.MustCompile(`<\S*>|state \w+|mode \w+|qdisc \w+|qlen \d+|link-netnsid \d+|linkdown|\\ *valid_lft.*|@if\d+|@\w+`)
)

func firewall(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	return strings.TrimSpace(counters.ReplaceAllString(line, ""))
}

func link(line string) string {
	// Link-local addresses come and go with a link's carrier.
	if strings.Contains(line, "fe80::") || strings.Contains(line, "ff00::/8") {
		return ""
	}
	line = linkState.ReplaceAllString(linkIndex.ReplaceAllString(line, ""), "")
	return strings.Join(strings.Fields(line), " ")
}

// passing are programs that dovesnap runs for a moment, again and again, and those
// that containerd ends when a container has ended: a snapshot may or may not meet one.
var passing = []string{"ps", "iptables", "ip6tables", "xtables-", "ovs-ofctl", "ovsdb-tool", "containerd-shim"}

func process(line string) string {
	line = strings.TrimSpace(line)
	program, _, _ := strings.Cut(line, " ")
	program = strings.Trim(program, "[]") // one that is ending, with or without <defunct>
	for _, p := range passing {
		if name := path.Base(program); name == p || p != "ps" && strings.HasPrefix(name, p) {
			return ""
		}
	}
	return line
}

func asIs(line string) string { return line }

var probes = []probe{
	{"links", []string{"ip", "-o", "link"}, link, true},
	{"addresses", []string{"ip", "-o", "addr"}, link, true},
	{"rules", []string{"ip", "rule"}, asIs, false},
	{"rules v6", []string{"ip", "-6", "rule"}, asIs, false},
	{"routes", []string{"ip", "route", "show", "table", "all"}, link, true},
	{"routes v6", []string{"ip", "-6", "route", "show", "table", "all"}, link, true},
	{"forwarding", []string{"sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}, asIs, false},
	{"iptables", []string{"iptables-save"}, firewall, false},
	{"ip6tables", []string{"ip6tables-save"}, firewall, false},
	{"iptables legacy", []string{"iptables-legacy-save"}, firewall, false},
	{"ip6tables legacy", []string{"ip6tables-legacy-save"}, firewall, false},
}

// programs returns the arguments of processes, of what ps prints of them: pid, parent
// and arguments. One that has not become another program yet has its parent's, and
// is left out.
func programs(ps string) string {
	type process struct{ pid, parent, args string }
	var all []process
	of := map[string]string{}
	for line := range strings.Lines(ps) {
		pid, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		parent, args, _ := strings.Cut(strings.TrimSpace(rest), " ")
		all = append(all, process{pid, parent, args})
		of[pid] = args
	}
	var lines []string
	for _, p := range all {
		if p.args != of[p.parent] {
			lines = append(lines, p.args)
		}
	}
	return strings.Join(lines, "\n")
}

// Tables and columns of Open vSwitch's database that say what somebody wants.
var tables = map[string][]string{
	"Open_vSwitch": {"other_config"},
	"Bridge":       {"name", "datapath_type", "fail_mode", "other_config", "external_ids"},
	"Port":         {"name", "external_ids"},
	"Interface":    {"name", "type", "ofport_request", "external_ids"},
	"Controller":   {"target"},
	"Manager":      {"target"},
}

const database = "/run/openvswitch/db.sock"

// Directories whose files are in a Snapshot, and those below them that are not:
// Docker and containerd come back to theirs in their own time.
var (
	watched = []string{
		"/run", "/tmp", "/etc/dovesnap", "/etc/openvswitch", "/etc/docker", "/usr/lib/docker",
		"/var/lib/dovesnap", "/var/lib/openvswitch", "/var/log/dovesnap",
	}
	ignored = []string{"/run/docker/netns", "/run/docker/libnetwork", "/run/docker/containerd", "/run/containerd", "/run/docker/runtime", "/run/docker/buildkit"}
)

// Snapshot returns, as text to compare, everything that a network driver could
// leave behind in the host: links, addresses, routes, rules, what Open vSwitch's
// database holds, processes and files. Counters and states that change by
// themselves are not in it.
func (h *Host) Snapshot(ctx context.Context) (string, error) {
	var text strings.Builder
	for _, p := range probes {
		out, err := h.Run(ctx, p.argv...)
		if err != nil {
			return "", err
		}
		section(&text, p, out)
	}
	out, err := h.Run(ctx, "ps", "-eo", "pid=,ppid=,args=")
	if err != nil {
		return "", err
	}
	section(&text, probe{title: "processes", line: process, sort: true}, programs(out))
	if h.Listening(database) == nil {
		for _, table := range slices.Sorted(maps.Keys(tables)) {
			argv := append([]string{"ovsdb-client", "--timeout=10", "--format=csv", "--no-headings",
				"dump", "unix:" + database, "Open_vSwitch", table}, tables[table]...)
			out, err := h.Run(ctx, argv...)
			if err != nil {
				return "", err
			}
			section(&text, probe{title: "table " + table, line: asIs, sort: true}, out)
		}
	}
	files, err := h.files()
	section(&text, probe{title: "files", line: asIs}, strings.Join(files, "\n"))
	return text.String(), err
}

func section(text *strings.Builder, p probe, out string) {
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		if line = p.line(line); line != "" {
			lines = append(lines, line)
		}
	}
	if p.sort {
		slices.Sort(lines)
	}
	if strings.Contains(p.title, "tables") {
		lines = slices.DeleteFunc(lines, emptyTable(lines))
	}
	fmt.Fprintf(text, "== %s\n%s\n", p.title, strings.Join(lines, "\n"))
}

// emptyTable tells, for each line of a saved firewall in turn, whether it is of
// a table as the kernel makes it on the first look: nothing but its own chains,
// which accept all.
func emptyTable(lines []string) func(string) bool {
	used, table := map[string]bool{}, ""
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "*"):
			table = line
		case line != "COMMIT" && !(strings.HasPrefix(line, ":") && strings.HasSuffix(line, " ACCEPT")):
			used[table] = true
		}
	}
	table = ""
	return func(line string) bool {
		if strings.HasPrefix(line, "*") {
			table = line
		}
		return !used[table]
	}
}

func (h *Host) files() ([]string, error) {
	var names []string
	err := h.Files(func() error {
		for _, dir := range watched {
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return nil // gone again, or never there
				}
				if slices.ContainsFunc(ignored, func(i string) bool { return strings.HasPrefix(path, i) }) {
					return fs.SkipDir
				}
				// Made when it is first needed; a file in it, or its parent alone
				// after a cleanup, would show.
				if path == "/run/dovesnap/flows" {
					return nil
				}
				names = append(names, unixctl.ReplaceAllString(path, ".PID.ctl"))
				return nil
			})
		}
		return nil
	})
	return names, err
}
