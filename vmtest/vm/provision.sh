#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes a guest of a suite's root file system, in its chroot, where apt still
# knows the suite's mirror. Leaves in /boot what qemu needs: vmlinuz, initrd.
set -eu

# To the end of a directory: what apt would install now for these packages.
fetch() { # DIRECTORY PACKAGE...
	mkdir -p "$1/partial"
	archives=$1
	shift
	apt-get -qq -y -o Dir::Cache::archives="$archives" -o APT::Sandbox::User=root \
		--download-only --no-install-recommends install "$@" >/dev/null
	rm -rf "$archives/partial" "$archives/lock"
}

echo "kernel" >&2
# Unpacked, not installed: no initramfs-tools, no boot loader. From forky on, the
# image is in two packages more.
fetch /tmp/kernel linux-image-cloud-amd64
for deb in /tmp/kernel/linux-image-[0-9]* /tmp/kernel/linux-binary-[0-9]* /tmp/kernel/linux-modules-[0-9]*; do
	[ ! -e "$deb" ] || dpkg-deb -x "$deb" /tmp/kernel/x
done
for modules in /tmp/kernel/x/lib/modules/* /tmp/kernel/x/usr/lib/modules/*; do
	[ ! -d "$modules/kernel" ] || break
done
version=${modules##*/}
mkdir -p /usr/lib/modules
mv "$modules" /usr/lib/modules/
modules=/usr/lib/modules/$version
mkdir -p /boot
if [ -e "$modules/vmlinuz" ]; then
	mv "$modules/vmlinuz" /boot/vmlinuz
else
	mv "/tmp/kernel/x/boot/vmlinuz-$version" /boot/vmlinuz
fi
for unused in sound drivers/gpu drivers/infiniband drivers/net/ethernet drivers/nvme drivers/hv drivers/xen \
	fs/xfs fs/btrfs fs/ocfs2 fs/gfs2 fs/ceph fs/nfs fs/nfsd fs/smb; do
	rm -rf "$modules/kernel/$unused"
done
depmod "$version"

echo "initrd" >&2
# Only what finds the disk; udev loads the rest from there.
initrd=/tmp/initrd
mkdir -p $initrd/bin $initrd/dev $initrd/proc $initrd/sys $initrd/root $initrd/modules
cp /usr/bin/busybox $initrd/bin/busybox
ln -s busybox $initrd/bin/sh
for module in virtio_pci virtio_blk virtio_console ext4; do
	# One that is built in has no file to insert.
	modprobe -S "$version" --show-depends $module | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
	name=${file##*/}
	case $name in
	*.xz) busybox xzcat <"$file" >"$initrd/modules/${name%.xz}" && echo "${name%.xz}" ;;
	*.ko) cp "$file" "$initrd/modules/" && echo "$name" ;;
	*) echo "cannot unpack module $name" >&2 && exit 1 ;;
	esac
done >$initrd/modules/order
cat >$initrd/init <<'INIT'
#!/bin/sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for module in $($b cat /modules/order); do $b insmod /modules/$module; done
until [ -b /dev/vda ]; do $b usleep 20000; done
$b mount -t ext4 -o rw /dev/vda /root || exec $b sh
for dir in dev proc sys; do $b mount -o move /$dir /root/$dir; done
exec $b switch_root /root /sbin/init
INIT
chmod +x $initrd/init
(cd $initrd && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >/boot/initrd
rm -rf /tmp/kernel $initrd

echo "packages to install offline" >&2
# With everything that they need here: a .deb under test installs without a
# network, and openvswitch's own can be installed again, as an upgrade would.
fetch /srv/debs openvswitch-switch
cd /srv/debs
for deb in *.deb; do
	dpkg-deb -f "$deb"
	echo "Filename: ./$deb"
	echo "Size: $(stat -c %s "$deb")"
	echo "SHA256: $(sha256sum "$deb" | cut -d ' ' -f 1)"
	echo
done >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/0*.list /etc/apt/sources.list.d/debian.sources
# From here on as Debian has it: documentation is installed, files are synced.
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*
apt-get -qq -o APT::Sandbox::User=root update
cd /

echo "images" >&2
# busybox is what Docker Hub's is, as far as tests use it; tools has what a test
# may want to run inside a container besides, with its libraries.
image() { # NAME PROGRAM...
	dir=/tmp/image
	mkdir -p $dir/bin $dir/dev $dir/etc $dir/proc $dir/root $dir/sys /srv/images
	mkdir -m 1777 $dir/tmp
	cp /usr/bin/busybox $dir/bin/busybox
	for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"; done
	name=$1
	shift
	for program in "$@"; do
		rm -f "$dir/bin/$program"
		cp -L "$(command -v "$program")" "$dir/bin/"
		ldd "$(command -v "$program")" | sed -n 's/^[^/]*\(\/[^ ]*\).*/\1/p' | while read -r library; do
			mkdir -p "$dir${library%/*}"
			cp -L "$library" "$dir$library"
		done
		# The C library loads it when a thread is cancelled, as iperf3's are from 3.16 on.
		mkdir -p "$dir/lib/x86_64-linux-gnu"
		cp -L /lib/x86_64-linux-gnu/libgcc_s.so.1 "$dir/lib/x86_64-linux-gnu/"
	done
	tar -C $dir --numeric-owner -cf "/srv/images/$name.tar" .
	rm -rf $dir
}
image busybox
image tools iperf3 ping tcpdump ip

echo "units" >&2
systemctl -q enable vmagent.service systemd-networkd.service
# Nothing wakes up by itself, and nothing waits for what is not there.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	fstrim.timer logrotate.timer man-db.timer getty@tty1.service serial-getty@ttyS0.service systemd-pstore.service \
	systemd-networkd-wait-online.service systemd-binfmt.service systemd-timesyncd.service systemd-firstboot.service; do
	systemctl -q mask "$unit" 2>/dev/null || true
done
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/resolv.conf
echo 'nameserver 10.0.2.3' >/etc/resolv.conf
# Root needs no password on the console.
sed -i 's/^root:[^:]*:/root::/' /etc/shadow
mkdir -p /var/log/journal /var/log/faucet
