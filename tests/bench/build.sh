#!/bin/sh
# build.sh - builds the benchmark guest: a static 32-bit program, the same on the host and in the guest, and an initramfs
# with it, busybox and the init script. Fetches Debian's kernels and busybox (tests/guests/fetch.sh).
#
#	usage: build.sh OUT-FOLDER      prints the kernels' and busybox' names and files, as fetch.sh does
set -eu
[ $# = 1 ] || { echo "usage: build.sh OUT-FOLDER" >&2; exit 2; }
src=$(cd "$(dirname "$0")" && pwd)
guests=$src/../guests
mkdir -p "$1"
out=$(cd "$1" && pwd)
CC=${CC:-gcc}

files=$("$guests/fetch.sh" linux-686 linux-686-pae busybox)
busybox=$(echo "$files" | sed -n 's/^busybox //p')

# The smallest program becomes a table of bytes inside the benchmark, which executes it over and over.
$CC -m32 -nostdlib -static -s -Wl,--build-id=none -o "$out/tiny" "$src/tiny.S"
{
	echo 'static const unsigned char tiny_elf[] = {'
	od -An -v -tx1 "$out/tiny" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '};'
} >"$out/tiny_elf.h"
$CC -m32 -O2 -g0 -Wall -static -fno-strict-aliasing -I"$out" -s -o "$out/gbench.new" "$src/gbench.c"
mv "$out/gbench.new" "$out/gbench"
"$guests/mkinitramfs.sh" "$out/bench.cpio.gz" "$busybox" "$src/init" bin/gbench="$out/gbench"
echo "$files"
