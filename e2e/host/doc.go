// SPDX-License-Identifier: Apache-2.0

// Package host gives a test a machine of its own: a process tree in its own
// namespaces (mount, network, pid, uts, ipc, cgroup) whose root is a Debian
// suite's root file system, with that suite's Docker, Open vSwitch and
// iptables. One test can power it off, boot it again with the disk it had, and
// throw it away; nothing of it reaches the machine the test runs on.
//
// Life of a host:
//
//	root, err := host.Rootfs(ctx, cache, "bookworm", os.Stderr)
//	h, err := host.New(host.Options{Root: root, Logs: dir}) // a disk: an empty tmpfs under the read-only root
//	err = h.Boot()             // an init: /proc, /dev, /run, loopback, an uplink
//	out, err := h.Run(ctx, "ip", "route")
//	err = h.PowerOff()         // SIGKILL to init: every process, link and mount goes
//	err = h.Boot()             // same disk, new boot id, empty /run
//	err = h.Close()            // the disk goes too
//
// Be aware:
//   - Everything needs root (namespaces, mounts, cgroups).
//   - The init is this very binary, started again under another argv[0]: the
//     package's init function takes over before main or the tests run.
//   - When the process that made the host dies, however it dies, init reads the
//     end of its stdin and exits, and the kernel kills the rest. Only empty
//     cgroup directories can stay behind; the next New sweeps them.
//   - The host shares the kernel with the machine: modules, the clock and the
//     few sysctls without a namespace are the machine's.
//   - Processes that Run and Start make are children of the calling process and
//     stay in its control group; containers are in the host's.
package host
