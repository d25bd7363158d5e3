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
/usr/share/labwright/network
/etc/init.d/ssh start &
# Holds the images that a lab tells the student to pull.
start-stop-daemon --start --background --chuid docker-registry --make-pidfile \
    --pidfile /run/docker-registry.pid --exec /usr/bin/docker-registry \
    -- serve /usr/share/labwright/registry.yml
# On a busy computer containerd can take longer than Docker waits for it.
for _ in 1 2 3 4 5; do
    /etc/init.d/docker start
    until docker version >/dev/null 2>&1; do
        sleep 0.5
        pidof dockerd >/dev/null || continue 2
    done
    break
done
wait
