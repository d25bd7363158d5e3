#!/bin/sh
# The network that QEMU gives a machine, under the name that it has in many labs.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
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
