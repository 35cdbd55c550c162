// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestFlowsSurvive(t *testing.T) {
	if !isolated(t) {
		return
	}
	r := start(t, quick())
	r.awaitReady()
	addBridge := func(name, dpid, mark string) {
		sh(t, "ovs-vsctl", "--timeout=10", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev",
			"fail_mode=secure", "protocols=OpenFlow13", "other_config:datapath-id="+dpid, "external_ids:"+mark)
	}
	addBridge("ours", "0000000000000001", "dovesnap-network=abc")
	addBridge("theirs", "0000000000000002", "of=somebody")
	// One without any setting, one that no bundle is for, and one that never comes up.
	sh(t, "ovs-vsctl", "--timeout=10", "add-br", "plain", "--", "set", "bridge", "plain", "datapath_type=netdev",
		"--", "add-br", "old", "--", "set", "bridge", "old", "datapath_type=netdev", "protocols=OpenFlow10")
	sh(t, "ovs-vsctl", "--timeout=10", "--no-wait", "add-br", "..")
	ofctl := func(args ...string) string {
		return sh(t, "ovs-ofctl", append([]string{"-O", "OpenFlow13"}, args...)...)
	}
	ofctl("add-meter", "ours", "meter=1,kbps,burst,band=type=drop,rate=1000,burst_size=100")
	ofctl("add-group", "ours", "group_id=5,type=all,bucket=actions=output:1,bucket=actions=output:2")
	ofctl("add-flow", "ours", "priority=7,cookie=0x55,in_port=2,actions=meter:1,group:5")
	ofctl("add-flow", "ours", "priority=1,cookie=0x55,actions=goto_table:1")
	ofctl("add-flow", "ours", "table=1,priority=8,idle_timeout=300,dl_type=0x0800,nw_dst=10.0.0.0/8,actions=output:3")
	ofctl("add-flow", "theirs", "priority=1,in_port=3,actions=NORMAL")
	sh(t, "ovs-ofctl", "add-flow", "plain", "priority=5,in_port=4,actions=drop")
	foreign := func() string {
		return ofctl("dump-flows", "--no-stats", "theirs") + sh(t, "ovs-ofctl", "--no-stats", "dump-flows", "plain")
	}
	theirs := foreign()
	dump := func() string { return ofctl("dump-flows", "--no-names", "--no-stats", "ours") }
	flows := dump()

	file := "/run/dovesnap/flows/ours"
	eventually(t, "the flows are saved", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && strings.Count(string(b), "\nflow add ") == 3
	})
	for bridge, flow := range map[string]string{"theirs": "in_port=3", "plain": "in_port=4"} { // not of one pass
		eventually(t, "those of others are saved", func() bool {
			b, err := os.ReadFile("/run/dovesnap/flows/" + bridge)
			return err == nil && strings.Contains(string(b), flow)
		})
	}
	saved, err := os.ReadFile(file)
	must(t, err)
	want := `# dovesnap flows of bridge=ours datapath-id=0000000000000001 fail-mode=secure
# meter meter=1 kbps burst bands= type=drop rate=1000 burst_size=100
flow delete
group delete
group add group_id=5,type=all,bucket=actions=output:1,bucket=actions=output:2
flow add cookie=0x55, priority=1 actions=goto_table:1
flow add cookie=0x55, priority=7,in_port=2 actions=meter:1,group:5
flow add table=1, idle_timeout=300, priority=8,ip,nw_dst=10.0.0.0/8 actions=output:3
`
	if string(saved) != want {
		t.Errorf("saved\n%swant\n%s", saved, want)
	}

	waiting := func() string {
		return sh(t, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "other_config")
	}
	vs := r.pid(ovsVswitchd)
	for range 2 { // the restored flows are saved and restored again
		must(t, unix.Kill(vs, unix.SIGKILL))
		vs = r.awaitReplaced(ovsVswitchd, vs)
		if got := dump(); got != flows {
			t.Errorf("flows after the restart\n%s\nbefore\n%s", got, flows)
		}
		if got := foreign(); got != theirs {
			t.Errorf("flows of others' bridges after the restart\n%s\nbefore\n%s", got, theirs)
		}
		if got := waiting(); strings.Contains(got, restoreWait) {
			t.Errorf("other_config is %s", got)
		}
	}

	if said := strings.Count(r.log.String(), "child=ovs-vswitchd bridge=old err="); said != 1 {
		t.Errorf("of the one that cannot be saved it was told %d times", said)
	}
	// Both, and by hand: it is the row of the one without a datapath-id that stays.
	must(t, Restart(t.Context(), quick(), slog.New(slog.DiscardHandler)))
	if got := foreign(); got != theirs {
		t.Errorf("flows of others' bridges after the restart by hand\n%s\nbefore\n%s", got, theirs)
	}
	sh(t, "ovs-vsctl", "--timeout=10", "del-br", "theirs", "--", "del-br", "plain", "--", "del-br", "old", "--", "del-br", "..")

	// A dovesnap died in the middle of a restore: the next one ends it.
	r.stop()
	sh(t, "ovs-vsctl", "--timeout=5", "set", "Open_vSwitch", ".", "other_config:"+restoreWait+"=true")
	r = start(t, quick())
	r.awaitReady()
	if got := waiting(); strings.Contains(got, restoreWait) {
		t.Errorf("adopted with other_config %s", got)
	}

	// Another switch by the same name does not get them.
	sh(t, "ovs-vsctl", "--timeout=10", "set", "bridge", "ours", "other_config:datapath-id=0000000000000003")
	ofctl("del-flows", "ours")
	eventually(t, "the empty switch is saved", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && !strings.Contains(string(b), "flow add") && strings.Contains(string(b), "datapath-id=0000000000000003")
	})
	vs = r.pid(ovsVswitchd)
	r.stop()
	must(t, os.WriteFile(file, saved, 0o600))
	// A flag left behind, and nothing that could be restored: it must go.
	sh(t, "ovs-vsctl", "--timeout=5", "set", "Open_vSwitch", ".", "other_config:"+restoreWait+"=true")
	must(t, unix.Kill(vs, unix.SIGKILL))
	eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
	r = start(t, quick())
	r.awaitReady()
	if got := dump(); got != "" {
		t.Errorf("a switch with another datapath-id got the flows\n%s", got)
	}
	if got := waiting(); strings.Contains(got, restoreWait) {
		t.Errorf("cold start with other_config %s", got)
	}

	// Flows that cannot be restored do not keep the switch waiting.
	bad := strings.Replace(string(saved), "datapath-id=0000000000000001", "datapath-id=0000000000000003", 1)
	bad = strings.Replace(bad, "goto_table:1", "nonsense", 1)
	vs = r.pid(ovsVswitchd)
	r.stop()
	must(t, os.WriteFile(file, []byte(bad), 0o600))
	must(t, unix.Kill(vs, unix.SIGKILL))
	eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
	r = start(t, quick())
	r.awaitReady()
	if !strings.Contains(r.log.String(), "cannot restore all flows") || strings.Contains(waiting(), restoreWait) {
		t.Errorf("other_config is %s", waiting())
	}

	// From here on with flows that fit.
	good := strings.Replace(string(saved), "datapath-id=0000000000000001", "datapath-id=0000000000000003", 1)
	crashed := func(cfg Config, age time.Duration) {
		t.Helper()
		vs := r.pid(ovsVswitchd)
		r.stop()
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(good), 0o600))
		must(t, os.Chtimes(file, time.Now(), time.Now().Add(-age)))
		must(t, unix.Kill(vs, unix.SIGKILL))
		eventually(t, "ovs-vswitchd is gone", func() bool { return len(alive(ovsVswitchd)) == 0 })
		r = start(t, cfg)
		r.awaitReady()
		if got := waiting(); strings.Contains(got, restoreWait) {
			t.Errorf("other_config is %s", got)
		}
	}
	crashed(quick(), time.Minute)
	if got := dump(); got != flows {
		t.Errorf("flows of a minute ago were not restored:\n%s", got)
	}
	eventually(t, "the snapshot's age is not by the clock", func() bool {
		st, err := os.Stat(file)
		return err == nil && time.Duration(st.ModTime().UnixNano()) <= sinceBoot()
	})
	crashed(quick(), time.Hour)
	if got := dump(); got != "" {
		t.Errorf("flows of an hour ago were restored:\n%s", got)
	}
	late := quick()
	late.RestoreWithin = time.Nanosecond
	crashed(late, 0)
	if got := dump(); got != "" || !strings.Contains(r.log.String(), "gave up restoring flows") {
		t.Errorf("restored after the deadline:\n%s", got)
	}

	// Flows that ovs-vswitchd dies of are not tried twice.
	real, err := r.cfg.tool(ovsVswitchd)
	must(t, err)
	fragile := quick()
	fragile.BinDirs = []string{t.TempDir()}
	must(t, os.WriteFile(filepath.Join(fragile.BinDirs[0], ovsVswitchd), []byte(`#!/bin/sh
ovs-vsctl --timeout=5 --no-wait get Open_vSwitch . other_config | grep -q `+restoreWait+` && exit 9
exec `+real+` "$@"
`), 0o755))
	crashed(fragile, 0)
	if got := dump(); got != "" || !strings.Contains(r.log.String(), "starting it without them") {
		t.Errorf("flows that kill were restored:\n%s", got)
	}

	sh(t, "ovs-vsctl", "--timeout=10", "del-br", "ours")
	eventually(t, "the file of a deleted bridge goes", func() bool { _, err := os.Stat(file); return os.IsNotExist(err) })
}
