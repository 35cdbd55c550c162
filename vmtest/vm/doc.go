// SPDX-License-Identifier: Apache-2.0

// Package vm gives a test a machine that nothing tells from a real one but its
// speed: a Debian suite under its own kernel with the openvswitch module, systemd
// and Docker, in an emulated PC (qemu, without hardware virtualisation). Package
// host of e2e is the quick way to test dovesnap with real daemons; this is the way
// to test what needs systemd, apt, a kernel module, a reboot or a power cut.
//
//	g := vm.Installed(t, "trixie") // dovesnap's package is installed and runs
//	g.Sh("docker network create -d ovs n && docker run -d --name c1 --net n busybox sleep inf")
//	ping := g.Ping("c1", "172.18.0.1")
//	g.Sh("systemctl restart dovesnap")
//	ping.NoneLost()
//
// Where guests come from. An image (mmdebstrap, mke2fs; no mount, no loop device)
// is booted once, and its disk and memory saved when Docker runs; Clone continues
// such a state on a disk of its own, within a second or two. Installed does the
// same for a clean guest on which the .deb under test was installed. Boot boots.
// All is kept in the cache (host.CacheDir) under a hash of what it was made of, the
// two of a kind that were used last.
//
// In a guest:
//   - eth0, with the default route, leads to qemu, which answers and leads nowhere;
//     eth1 is down, or one end of the cable of a Pair.
//   - openvswitch-switch is not installed, but can be: apt's only source is
//     /srv/debs. The .debs are there for dpkg -i as well.
//   - Docker has the images busybox, and tools: busybox with iperf3, ip, ping and
//     tcpdump.
//   - faucet.service waits to be started, with a /etc/faucet/faucet.yaml (Faucet).
//   - Documentation and man pages were left out of the image, but packages that
//     are installed later bring theirs.
//
// Be aware:
//   - Needs root, and the programs that "hack/setup.sh --vm" installs. Without
//     DOVESNAP_VM in the environment every test skips.
//   - Everything is ten times slower than it should be. Wait for things (Await),
//     count things, but never look at the clock.
//   - A guest takes both of this machine's processors while it has work to do: run
//     one test at a time (-parallel 1).
//   - Clones begin at the same moment: same machine-id, boot id, MAC addresses and
//     Docker engine id. Clock and random numbers are set anew.
//   - PowerCut keeps what the guest's kernel has flushed, and loses what it has
//     not; a guest's disk is gone with the test.
//   - A guest ends with the process that started it, however that ends; its
//     directory is removed by the next test then.
//   - Of a guest whose test has failed, console and journal are kept in vm/failed of
//     the cache, and the end of them is shown.
package vm
