#!/bin/sh
# What an init system would do, as short as it can be: the machine is saved as soon as
# this is done and is not booted again, unless someone reboots it.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
mkdir -p /dev/pts /dev/shm /run/lock /run/sshd
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd

hostname -F /etc/hostname
ip link set lo up
modprobe virtio_net
modprobe virtio_rng
until interface=$(ls /sys/class/net | grep -m 1 -v '^lo$'); do sleep 0.05; done
ip link set "$interface" name enp0s3
ip address add 10.0.2.15/24 broadcast + dev enp0s3
ip link set enp0s3 up
ip route add default via 10.0.2.2

# Docker sets this itself, but only once it is up.
echo 1 >/proc/sys/net/ipv4/ip_forward
/etc/init.d/ssh start &
/etc/init.d/docker start &
# Holds the images that a lab tells the student to pull.
start-stop-daemon --start --background --chuid docker-registry --make-pidfile \
    --pidfile /run/docker-registry.pid --exec /usr/bin/docker-registry \
    -- serve /usr/share/labwright/registry.yml
wait
