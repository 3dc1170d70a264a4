#!/bin/sh
# fetch.sh - gets unmodified guests out of Debian's packages into a cache outside of the source tree.
#
#	usage: fetch.sh [--update] [--dir] [NAME...]      without names: linux-686 linux-686-pae busybox
#
# Prints a line for each guest: its name and its file. --dir prints the cache's path and ends. What is in the cache is not
# fetched again; --update looks for newer packages. Needs apt-get and dpkg-deb, but no root: apt works on a state of its
# own inside the cache, so the host's list of architectures and its package lists stay as they are.
# Exit status 77 (a skipped test) when this host cannot fetch, with one sentence that says why.
set -u
LC_ALL=C
export LC_ALL

# name, package, architecture, file in the package. A package META>PREFIX is the newest that META depends on and that
# begins with PREFIX. modules:A,B,...: a tar archive of these kernel modules.
disk_modules=modules:libata,ata_piix,scsi_common,scsi_mod,sd_mod,sr_mod,cdrom,ext4,jbd2,mbcache,crc16,crc32c_generic,libcrc32c,crc-t10dif
disk_modules=$disk_modules,crct10dif_common,crct10dif_generic,t10-pi,crc64,crc64-rocksoft,crc64_rocksoft_generic
table() {
	cat <<-EOF
		linux-686      linux-image-686>linux-image-[0-9]      i386  boot/vmlinuz-*
		linux-686-pae  linux-image-686-pae>linux-image-[0-9]  i386  boot/vmlinuz-*
		modules-686      linux-image-686>linux-image-[0-9]      i386  $disk_modules
		modules-686-pae  linux-image-686-pae>linux-image-[0-9]  i386  $disk_modules
		busybox        busybox-static                         i386  bin/busybox
		memtest86      memtest86+                             amd64 boot/memtest86+ia32.bin
		invaders       grub-invaders                          amd64 boot/invaders.exec
		gnumach        gnumach-image-1.8-486                  i386  boot/gnumach-1.8-486*
		memtest86-iso  memtest86+                             amd64 usr/lib/memtest86+/memtest86+ia32.iso
		grub-floppy    grub-rescue-pc                         amd64 usr/lib/grub-rescue/grub-rescue-floppy.img
		grub-cdrom     grub-rescue-pc                         amd64 usr/lib/grub-rescue/grub-rescue-cdrom.iso
		grub-usb       grub-rescue-pc                         amd64 usr/lib/grub-rescue/grub-rescue-usb.img
		ipxe-lkrn      ipxe                                   amd64 boot/ipxe.lkrn
		ipxe-iso       ipxe                                   amd64 usr/lib/ipxe/ipxe.iso
		installer      debian-installer-12-netboot-i386       amd64 usr/lib/debian-installer/images/12/i386/text/debian-installer/i386/linux
		installer-rd   debian-installer-12-netboot-i386       amd64 usr/lib/debian-installer/images/12/i386/text/debian-installer/i386/initrd.gz
	EOF
}

cache=${RINGFENCE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/ringfence}
here=$cache/guests
state=$cache/apt
update=
lists_read=

cannot() {
	echo "fetch.sh: $*" >&2
	exit 77
}

progress() { echo "fetch.sh: $*" >&2; }

apt() { # PROGRAM ARGUMENT...: apt-get or apt-cache with the private state
	program=$1
	shift
	"$program" -qq -o APT::Architecture=amd64 -o APT::Architectures=amd64,i386 -o APT::Sandbox::User=root \
		-o APT::Get::List-Cleanup=false -o Acquire::Languages=none -o Acquire::Retries=2 \
		-o Dir::State="$state" -o Dir::State::Lists="$state/lists" -o Dir::State::status="$state/status" \
		-o Dir::Cache="$state/cache" -o Dir::Log="$state" "$@"
}

# Reads the package lists, once a day and once a run. Of several lists some may fail (a mirror in the middle of an update):
# the others serve.
lists() {
	[ "$lists_read" ] && return 0
	lists_read=1
	[ "$update" ] || [ -z "$(find "$state/stamp" -mmin -1440 2>/dev/null)" ] || return 0
	progress "reading Debian's package lists"
	apt apt-get update >"$state/log" 2>&1 || progress "not all lists could be read: $(grep -m1 '^[EW]:' "$state/log")"
	[ "$(find "$state/lists" -name '*_Packages*')" ] ||
		cannot "no Debian package lists to be had (no network?): $(grep -m1 '^[EW]:' "$state/log")"
	touch "$state/stamp"
}

# package PACKAGE ARCH: the real name behind META>PREFIX.
package() {
	case $1 in
	*'>'*) apt apt-cache depends "${1%%>*}:$2" 2>/dev/null |
		sed -n "s/^ *Depends: \\(${1#*>}[^ :]*\\).*/\\1/p" | head -n 1 ;;
	*) echo "$1" ;;
	esac
}

# fetch NAME PACKAGE ARCH FILE: the file appears under its name only when it is whole.
fetch() {
	lists
	real=$(package "$2" "$3")
	[ "$real" ] || cannot "no package of Debian stands behind ${2%%>*} ($3)"
	if [ -f "$here/$1" ] && [ "$(cat "$here/$1.from" 2>/dev/null)" = "$real" ] && [ "$real" != "$2" ]; then
		return 0
	fi
	progress "getting $1 from the package $real ($3)"
	work=$(mktemp -d "$cache/work.XXXXXX") || cannot "cannot write to $cache"
	if ! (cd "$work" && apt apt-get download "$real:$3") >"$state/log" 2>&1; then
		rm -rf "$work"
		cannot "the package $real ($3) was not to be had (no network?): $(grep -m1 '^[EW]:' "$state/log")"
	fi
	dpkg-deb -x "$work"/*.deb "$work/files" || cannot "the package $real ($3) cannot be unpacked"
	case $4 in
	modules:*)
		pack_modules "${4#modules:}" "$work/files" "$work/done" ;;
	*)
		# shellcheck disable=SC2086 # the file is a pattern
		set -- "$1" "$work/files/"$4
		[ -f "$2" ] || cannot "the package $real holds no ${2#"$work"/files/}"
		gunzip_or_copy "$2" "$work/done" ;;
	esac
	chmod u+rw,go+r "$work/done"
	mv "$work/done" "$here/$1" && echo "$real" >"$here/$1.from"
	rm -rf "$work"
}

pack_modules() { # NAME,NAME... FILES OUT
	mkdir "$work/modules"
	echo "$1" | tr , '\n' | while read -r module; do
		find "$2/lib/modules" -name "$module.ko" -exec cp {} "$work/modules" \;
	done
	tar -cf "$3" -C "$work/modules" .
}

gunzip_or_copy() {
	case $1 in
	*.gz) gzip -dc "$1" >"$2" ;;
	*) cp "$1" "$2" ;;
	esac
}

while :; do
	case ${1-} in
	--update) update=1 ;;
	--dir) echo "$here"; exit 0 ;;
	-*) echo "usage: fetch.sh [--update] [--dir] [NAME...]; names: $(table | awk '{printf "%s ", $1}')" >&2; exit 2 ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- linux-686 linux-686-pae busybox

for name; do
	table | awk '{print $1}' | grep -qxF -e "$name" ||
		{ echo "fetch.sh: there is no guest '$name'; there are: $(table | awk '{printf "%s ", $1}')" >&2; exit 2; }
done
if ! mkdir -p "$here" "$state/lists/partial" "$state/cache/archives/partial" 2>/dev/null || ! touch "$state/status" "$cache/lock"; then
	cannot "cannot write to $cache (RINGFENCE_CACHE=DIR names another place)"
fi

# One at a time: a second caller waits and then finds everything there.
exec 9>"$cache/lock"
flock 9
trap 'rm -rf "$cache"/work.*' EXIT
trap 'exit 1' HUP INT TERM
for name; do
	if [ "$update" ] || [ ! -f "$here/$name" ]; then
		if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
			cannot "guests come from Debian's packages, and apt-get or dpkg-deb is not here"
		fi
		# shellcheck disable=SC2046 # words
		fetch $(set -f; table | awk -v name="$name" '$1 == name')
	fi
	echo "$name $here/$name"
done
