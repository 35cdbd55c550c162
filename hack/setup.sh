#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs, with apt, what the tests and the demo need on this machine and is
# missing. No daemon among it: dockerd and Open vSwitch are installed in root file
# systems of their own (e2e/host), so nothing on this machine is started, enabled
# or configured. May be run again at any time.
#
# Usage: hack/setup.sh [--vm] [RECORD]
# With --vm, what virtual machines need too (vmtest). RECORD is a file to which
# the names of the packages installed are added, for whoever wants to remove them
# again.
set -eu
vm=
[ "${1:-}" != --vm ] || { vm="qemu-system-x86 qemu-utils e2fsprogs" && shift; }
record=${1:-/dev/null}

# mmdebstrap makes the root file systems. Faucet is installed by python3-venv,
# and one of its libraries is compiled (gcc, headers), which the race detector
# needs too. lintian, rpm and rpmlint examine the packages that we build. iptables
# and nft change the packet filter of network namespaces that tests make.
packages="mmdebstrap debian-archive-keyring python3-venv python3-dev gcc libc6-dev lintian rpm rpmlint iptables nftables $vm"

fail() {
	echo "cannot install packages: $*" >&2
	exit 1
}
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii  *//p' | sort -u; }

have=$(installed)
missing=
for package in $packages; do
	echo "$have" | grep -qx "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || fail "needs root:$missing"
command -v apt-get >/dev/null || fail "needs apt (Debian 12 or 13):$missing"
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
mkdir -p "$(dirname "$record")"
# On any exit: what a run that broke off has installed is recorded too.
trap 'rm -f "$log"; { echo "$have"; installed; } | sort | uniq -u >>"$record"' EXIT
# A source of packages that does not answer need not be the one that is needed.
{ apt-get update; apt-get install -y --no-install-recommends $missing; } </dev/null >"$log" 2>&1 ||
	fail "$(tail -n 3 "$log" | tr '\n' ' ')"
