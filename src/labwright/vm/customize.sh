#!/bin/sh
# Turns a minimal Debian with Python into the lab machine. mmdebstrap runs this as a
# customize hook, as root or as root of a user namespace; $1 is the file system's root.
#
# Environment: PACKAGES, KERNEL (a meta-package), INIT (systemd or busybox), DISK_SIZE.
# Descriptor 3 is the disk image to write: a path would not do, since in a user
# namespace we are not the user who owns the folder.
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"

say() { echo "labwright: $*" >&2; }

say container base
# Before anything else is installed: this is what the component images stand on. They
# need Python and a shell; a package manager would only make the import slower.
tar -C "$root" --numeric-owner \
    --exclude=./dev --exclude=./proc --exclude=./sys --exclude='./tmp/*' --exclude=./boot \
    --exclude='./var/cache/*' --exclude=./var/lib/apt --exclude=./var/lib/dpkg \
    --exclude=./usr/lib/apt --exclude='./usr/lib/*/libapt-*' \
    --exclude='./usr/lib/*/perl*' --exclude='./usr/share/perl*' --exclude='./usr/bin/perl*' \
    --exclude='./usr/lib/*/gconv' --exclude=./usr/share/zoneinfo --exclude=./usr/share/doc \
    --exclude='./usr/lib/python3*/test' --exclude='./usr/lib/python3*/lib2to3' \
    --exclude='./usr/lib/python3*/pydoc_data' --exclude=./usr/share/bash-completion \
    -cf "$root/tmp/base.tar" .

say packages
# shellcheck disable=SC2086  a list of words
apt-get --yes --quiet install -oDPkg::Chroot-Directory="$root" $PACKAGES

say registry
# As a registry keeps an image. Not packed: what is saved here is spent in the machine, whose
# processor may be emulated.
store=$root/var/lib/docker-registry/docker/registry/v2
repository=$store/repositories/labwright/base
# blob FILE: move it among the blobs; print its digest.
blob() {
    digest=$(sha256sum <"$1" | cut -d ' ' -f 1)
    place=$store/blobs/sha256/$(echo "$digest" | cut -c 1-2)/$digest
    mkdir -p "$place"
    mv "$1" "$place/data"
    echo "$digest"
}
# link FOLDER DIGEST: note there that the repository has it.
link() {
    mkdir -p "$repository/$1"
    printf 'sha256:%s' "$2" >"$repository/$1/link"
}
type=application/vnd.docker
size=$(stat -c %s "$root/tmp/base.tar")
layer=$(blob "$root/tmp/base.tar")
printf '{"architecture": "%s", "os": "linux", "config": {}, "rootfs": {"type": "layers",
    "diff_ids": ["sha256:%s"]}, "history": [{"created_by": "labwright"}]}' \
    "$(dpkg --print-architecture)" "$layer" >"$root/tmp/config"
config_size=$(stat -c %s "$root/tmp/config")
config=$(blob "$root/tmp/config")
printf '{"schemaVersion": 2, "mediaType": "%s.distribution.manifest.v2+json",
    "config": {"mediaType": "%s.container.image.v1+json", "size": %s, "digest": "sha256:%s"},
    "layers": [{"mediaType": "%s.image.rootfs.diff.tar", "size": %s, "digest": "sha256:%s"}]}' \
    "$type" "$type" "$config_size" "$config" "$type" "$size" "$layer" >"$root/tmp/manifest"
manifest=$(blob "$root/tmp/manifest")
link "_layers/sha256/$layer" "$layer"
link "_layers/sha256/$config" "$config"
link "_manifests/revisions/sha256/$manifest" "$manifest"
link "_manifests/tags/latest/current" "$manifest"
link "_manifests/tags/latest/index/sha256/$manifest" "$manifest"
chroot "$root" chown -R docker-registry: /var/lib/docker-registry

say kernel
# Unpacked, not installed: installing it would bring initramfs-tools and run it. What the
# meta-package stands for is one package or, since Debian 14, one with the kernel, one with its
# modules and one with the list of those that are built in.
kernel=$(apt-get --simulate -oDPkg::Chroot-Directory="$root" install "$KERNEL" |
    sed -n 's/^Inst \(linux-\(image\|base\|binary\|modules\)-[0-9][^ ]*\) .*/\1/p')
mkdir "$root/tmp/kernel"
(
    cd "$root/tmp/kernel"
    # shellcheck disable=SC2086  a list of words
    apt-get --quiet download $kernel
    for package in ./*.deb; do dpkg-deb -x "$package" tree; done
    mkdir -p "$root/usr/lib/modules"
    for modules in tree/lib/modules tree/usr/lib/modules; do
        if [ -d "$modules" ]; then mv "$modules"/* "$root/usr/lib/modules/"; fi
    done
    for image in tree/boot/vmlinuz-* "$root"/usr/lib/modules/*/vmlinuz; do
        if [ -f "$image" ]; then mv "$image" "$root/boot/vmlinuz"; fi
    done
)
rm -rf "$root/tmp/kernel"
release=$(ls "$root/usr/lib/modules")
chroot "$root" depmod "$release"

say initramfs
# The disk's driver is a module, so a few modules and a shell must come before the disk.
early=$root/tmp/early
mkdir -p "$early/bin" "$early/modules" "$early/dev" "$early/proc" "$early/mnt"
cp "$root/bin/busybox" "$early/bin/busybox"
cp "$root/usr/share/labwright/early-init" "$early/init"
chmod 755 "$early/init"
chroot "$root" modprobe --set-version "$release" --show-depends virtio_pci >"$root/tmp/modules"
chroot "$root" modprobe --set-version "$release" --show-depends virtio_blk >>"$root/tmp/modules"
sed -n 's/^insmod //p' "$root/tmp/modules" | awk '!seen[$1]++ { print $1 }' >"$early/modules/order"
while read -r module; do
    cp "$root$module" "$early/modules/"
done <"$early/modules/order"
# One after the other: a pipe would hide that cpio failed.
(cd "$early" && find . >../early.list && cpio --quiet -o -H newc -R 0:0 <../early.list >../early.cpio)
gzip -1 <"$root/tmp/early.cpio" >"$root/boot/initramfs"
rm -rf "$early" "$root/tmp/modules"

say accounts
# No password can match "*"; "!" would be a locked account, which sshd turns away.
chroot "$root" useradd --create-home --shell /bin/bash --groups docker,sudo --password '*' student
chroot "$root" chown -R student:student /home/student
chroot "$root" chmod 700 /home/student/.ssh
chmod 440 "$root/etc/sudoers.d/student"
chmod 600 "$root/etc/ssh/ssh_host_ed25519_key"
rm -f "$root"/etc/ssh/ssh_host_rsa_key* "$root"/etc/ssh/ssh_host_ecdsa_key*

say "init: $INIT"
if [ "$INIT" = busybox ]; then
    chroot "$root" update-alternatives --quiet --set iptables /usr/sbin/iptables-legacy
    chroot "$root" update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-legacy
    for name in init reboot poweroff halt; do
        ln -sf ../bin/busybox "$root/sbin/$name"
    done
else
    chroot "$root" systemd-machine-id-setup
    chroot "$root" systemctl enable labwright-network.service docker-registry.service
    # A restored machine's clock leaps ahead: what is done once a day would begin at once. And
    # nobody uses its console.
    timers=$(cd "$root/usr/lib/systemd/system" && ls -d -- *.timer)
    # shellcheck disable=SC2086  a list of words
    chroot "$root" systemctl mask $timers getty.target getty@tty1.service \
        serial-getty@ttyS0.service
    # Its user's own systemd is there when the machine is saved, not started by a login.
    mkdir -p "$root/var/lib/systemd/linger"
    touch "$root/var/lib/systemd/linger/student"
    cp -r "$root/etc/skel/." "$root/home/student"
    chroot "$root" chown -R student:student /home/student
fi

say disk
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
# A view without what is mounted in it: /proc and the like are no files of the machine.
# Its /tmp is hidden, not emptied: mmdebstrap keeps its apt configuration there, and without
# that its last steps would clean the apt of the computer that builds, not the machine's.
view=$root/mnt
mount --bind "$root" "$view"
mount -t tmpfs -o mode=1777 tmp "$view/tmp"
# No journal: a machine's disk is a throw-away overlay over this one.
mke2fs -q -F -t ext4 -O ^has_journal -E root_owner=0:0,lazy_itable_init=1 -L labwright \
    -d "$view" /dev/fd/3 "$DISK_SIZE"
umount "$view/tmp" "$view"
