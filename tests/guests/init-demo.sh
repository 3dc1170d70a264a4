#!/bin/busybox sh
# /init of 'make demo': a shell on the serial console; when it ends, the machine is switched off.
export PATH=/bin HOME=/root TERM="${TERM:-vt100}"
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev 2>/dev/null
/bin/busybox --install -s /bin
mount -t tmpfs tmpfs /tmp
dmesg -n 1
hostname ringfence
cd /root || cd /
echo
echo "This is $(uname -srm) on a $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)."
echo "Leave with 'exit' (the guest switches off) or Ctrl-A X (at once)."
export PS1='\h:\w\$ '
setsid cttyhack sh
poweroff -f
