#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints what software can leave behind on a host, one thing a line, as text to
# compare: no counters, no indexes, no states that change by themselves.
export LC_ALL=C
section() { echo "== $1"; }
# Interface numbers, flags, queues; link-local addresses, which follow the carrier;
# the MAC address that Docker's own bridge gets at each boot.
links() {
	sed -E -e 's/^[0-9]+: //' -e 's/@[^ :]+//g' -e '/fe80::|ff00::\/8/d' -e '/^docker0:/s/ether [^ ]+/ether/' \
		-e 's/<[^>]*>|(state|mode|qdisc|qlen|link-netnsid) +[^ ]+|linkdown|valid_lft.*//g' -e 's/\\//g; s/ +/ /g; s/ $//' | sort
}
# A table is made on the first look: one with nothing in it is none.
firewall() {
	sed -E -e '/^#/d' -e 's/ ?\[[0-9]+:[0-9]+\] ?//' | awk '
		/^\*/ { table = $0; used = 0; text = "" }
		{ text = text table " " $0 "\n" }
		!/^\*/ && !/^COMMIT/ && !/^:.* ACCEPT$/ { used = 1 }
		/^COMMIT/ { if (used) printf "%s", text }'
}

section links
ip -o link | links
section addresses
ip -o addr | links
section rules
ip rule && ip -6 rule
section routes
{ ip -o route show table all && ip -6 -o route show table all; } | links
section forwarding
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.default.forwarding
for save in iptables-save ip6tables-save iptables-legacy-save ip6tables-legacy-save; do
	section $save
	$save 2>/dev/null | firewall
done

section "Open vSwitch"
if [ -S /run/openvswitch/db.sock ]; then
	for table in "Open_vSwitch other_config" "Bridge name datapath_type fail_mode other_config external_ids" \
		"Port name external_ids" "Interface name type ofport_request external_ids" \
		"Controller target" "Manager target" "QoS type" "Mirror name"; do
		set -- $table
		timeout 20 ovsdb-client --format=csv --no-headings dump unix:/run/openvswitch/db.sock Open_vSwitch "$@" |
			sed "s/^/$1 /" | sort
	done
fi
section datapaths
{ command -v ovs-dpctl >/dev/null && ovs-dpctl dump-dps 2>/dev/null; } | sort

section units
systemctl list-unit-files --no-legend --no-pager | awk '{ print $1, $2 }' | sort
section "units that run"
# Without those that come by themselves, for a while.
systemctl list-units --no-legend --no-pager --plain --state=running,listening,waiting,failed |
	awk '{ print $1, $4 }' | grep -vE '^(systemd-(hostnamed|timedated|localed|tmpfiles-clean)|user@|session-|init\.scope|.*\.scope|.*\.slice)' | sort

section accounts
cut -d: -f1 /etc/passwd /etc/group | sort
section packages
dpkg-query -W -f '${Package} ${db:Status-Status}\n' | sort
section "files of /etc"
find /etc -type f ! -name ld.so.cache ! -name '*-' -exec cksum {} + | awk '{ print $3, $1 }' | sort
section files
find /etc /opt /root /run /srv /tmp /usr /var -xdev \
	\( -path /opt/faucet -o -path /run/containerd -o -path '/run/docker/*' ! -path '/run/docker/plugins*' \
	-o -path /run/adduser -o -path /run/systemd -o -path /run/udev -o -path /run/log -o -path '/run/user/*' -o -path '/tmp/systemd-private-*' \
	-o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/containerd -o -path /var/lib/docker -o -path /var/lib/dpkg \
	-o -path /var/lib/systemd/timers -o -path /var/log/journal -o -path '/var/tmp/systemd-private-*' -o -name __pycache__ \) -prune \
	-o -printf '%y %M %u %p\n' | sed -E 's/\.[0-9]+\.ctl$/.PID.ctl/' | sort
