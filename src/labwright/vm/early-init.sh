#!/bin/busybox sh
# The initramfs: loads the disk's driver and hands over to the disk.
busybox=/bin/busybox
$busybox mount -t devtmpfs dev /dev
while read -r module; do
    $busybox insmod "/modules/${module##*/}"
done </modules/order
until [ -b /dev/vda ]; do $busybox usleep 20000; done
$busybox mount -t ext4 -o rw,noatime /dev/vda /mnt
$busybox mount --move /dev /mnt/dev
exec $busybox switch_root /mnt /sbin/init
