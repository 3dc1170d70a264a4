#!/bin/sh
# mkinitramfs.sh - makes an initramfs of a static busybox and an /init script.
#
#	usage: mkinitramfs.sh OUT BUSYBOX INIT [PATH=FILE...]
#
# INIT is a script for busybox's sh (init-demo.sh, init-test.sh or the caller's own). More files may follow in the
# notation of mkcpio.py. No root is needed.
set -eu
[ $# -ge 3 ] || { echo "usage: mkinitramfs.sh OUT BUSYBOX INIT [PATH=FILE...]" >&2; exit 2; }
out=$1 busybox=$2 init=$3
shift 3
for file in "$busybox" "$init"; do
	[ -f "$file" ] || { echo "mkinitramfs.sh: there is no file $file" >&2; exit 1; }
done
# The two programs must be executable in the guest, whatever their modes are here.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$busybox" "$tmp/busybox"
cp "$init" "$tmp/init"
chmod 755 "$tmp/busybox" "$tmp/init"
"$(dirname "$0")/mkcpio.py" "$out" bin/busybox="$tmp/busybox" init="$tmp/init" \
	dev/console=c:5:1 dev/null=c:1:3 proc/ sys/ tmp/ root/ "$@"
