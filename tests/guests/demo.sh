#!/bin/sh
# demo.sh - 'make demo': a Debian shell in this terminal; where Debian's packages cannot be had, the small guest of our own.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
ringfence=${RINGFENCE:-./ringfence}
cache=${RINGFENCE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/ringfence}

own_guest() {
	echo "Running the small guest from tests/guest instead: it needs no packages." >&2
	hello=${BUILDDIR:-.}/build/guest/hello.elf
	if [ ! -f "$hello" ]; then
		${MAKE:-make} --no-print-directory guests >&2 || exit 1
	fi
	[ -f "$hello" ] || { echo "make demo: $hello was not built (gcc -m32 is needed: configure says more)" >&2; exit 1; }
	exec "$ringfence" run --kernel "$hello" -m 64M --display none
}

guests=$("$top/tests/guests/fetch.sh" linux-686 busybox) || own_guest
kernel=$(echo "$guests" | sed -n 's/^linux-686 //p')
busybox=$(echo "$guests" | sed -n 's/^busybox //p')
initrd=$cache/demo.cpio.gz
"$top/tests/guests/mkinitramfs.sh" "$initrd" "$busybox" "$top/tests/guests/init-demo.sh" || own_guest
echo "Starting Linux $(sed 's/^linux-image-//' "$kernel.from") (Ctrl-A X leaves at once)" >&2
exec "$ringfence" run --kernel "$kernel" --initrd "$initrd" --append "console=ttyS0 quiet" -m 512M --display none --no-reboot
