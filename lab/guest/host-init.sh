#!/bin/sh
# The first process of the lab host (L1): modules, a read-only root disk with a layer of memory above it, then the agent.
# Nothing is ever written to a disk, so a snapshot of the machine is its RAM and its devices, nothing else.
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
for module in $($B cat /modules/order); do
  $B insmod "/modules/$module" || echo "lab host: cannot load $module"
done
$B mkdir /disk /layer /root
$B mount -t ext4 -o ro /dev/vda /disk
$B mount -t tmpfs -o size=256m layer /layer
$B mkdir /layer/upper /layer/work
$B mount -t overlay -o lowerdir=/disk,upperdir=/layer/upper,workdir=/layer/work overlay /root
cd /root
$B mkdir -p proc sys dev tmp run opt/hugemend root
$B mount --move /dev dev
$B mount --move /proc proc
$B mount --move /sys sys
$B mount -t debugfs debug sys/kernel/debug
$B mount -t tracefs trace sys/kernel/tracing
$B mount -t tmpfs tmp tmp
$B mount -t tmpfs run run
$B mkdir -p dev/hugepages dev/shm dev/pts
$B mount -t hugetlbfs -o pagesize=2M huge dev/hugepages
$B mount -t tmpfs shm dev/shm
$B mount -t devpts pts dev/pts
$B ip link set lo up
exec $B switch_root /root /lab/agent
