#!/bin/sh
# disk-initramfs.sh - makes an initramfs that loads Debian's modules for an IDE disk, mounts /dev/sda1 and starts its /init.
#
#	usage: disk-initramfs.sh OUT BUSYBOX KERNEL [INIT]
#
# KERNEL is a file of fetch.sh (linux-686 or linux-686-pae): the modules are those of the same package. Exit status 77 when they
# cannot be had. INIT, a script for busybox's sh, takes the place of the one here; the modules are in /mod.
set -eu
out=$1 busybox=$2 name=$(basename "$3")
here=$(dirname "$0")
line=$("$here/fetch.sh" "modules-${name#linux-}") || exit $?
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/mod"
tar -xf "${line#* }" -C "$tmp/mod"
cat >"$tmp/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
# Those that need others load in a later round.
for round in 1 2 3 4 5 6; do
	for module in /mod/*.ko; do
		insmod "$module" 2>/dev/null && rm "$module"
	done
done
tries=0
until [ -b /dev/sda1 ] || [ $tries = 100 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
mount -t ext4 /dev/sda1 /root || { echo DISK-MISSING; dmesg | tail -n 20; sh; }
umount /proc
exec switch_root /root /init
EOF
set -- "$out" "$busybox" "${4:-$tmp/init}"
for module in "$tmp"/mod/*.ko; do
	set -- "$@" "mod/$(basename "$module")=$module"
done
"$here/mkinitramfs.sh" "$@"
