#!/bin/busybox sh
# /init of the boot tests: says GUEST-READY, then reads commands from the console; 'exit' switches off. With run=SCRIPT in the
# kernel's command line /SCRIPT is run instead, and its exit status printed.
export PATH=/bin HOME=/ PS1='# '
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
/bin/busybox --install -s /bin
mount -t tmpfs tmpfs /tmp
dmesg -n 1
script=$(sed -n 's/.*\brun=\([^ ]*\).*/\1/p' /proc/cmdline)
echo GUEST-READY
if [ "$script" ]; then
	sh "/$script"
	echo "GUEST-DONE $?"
else
	setsid cttyhack sh
fi
poweroff -f
