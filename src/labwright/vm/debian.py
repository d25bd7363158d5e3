"""Makes the lab machine's Debian: a frozen disk, a kernel, an initramfs and its keys.

One mmdebstrap does it, as root or, for an ordinary user, in a user namespace; the disk is
written by its last hook, into a file that is handed to it open.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from importlib import resources
from typing import TYPE_CHECKING

from labwright.host import programs, progress
from labwright.vm import mmdebstrap, store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUITE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
DISK = "base.raw"
DISK_SIZE = "8G"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""What Debian's packages are signed by; Ubuntu does not come with it."""
PACKAGES = (
    "bsdutils busybox-static ca-certificates crun curl docker.io docker-registry ipvsadm iproute2 "
    "iptables kmod less net-tools netbase openssh-server procps sudo util-linux"
)
"""Beside a minimal Debian with python3."""

PROGRAMS = ("mmdebstrap", "mke2fs", "cpio", "ssh-keygen", KEYRING)
SCRIPTS = ("customize.sh", "early-init.sh", "boot.sh")
FILES = {
    "etc/inittab": "::sysinit:/usr/share/labwright/boot\n::ctrlaltdel:/sbin/reboot\n",
    "etc/hostname": "lab\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    # Docker's init script leaves cgroups alone when it sees them here; else it mounts the
    # old hierarchies, and crun finds no controller left in the unified one.
    "etc/fstab": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    # Docker's own network has the addresses of the document. It asks the machine's own
    # registry before Docker Hub, and Docker Hub where that does not run.
    "etc/docker/daemon.json": (
        '{"default-runtime": "crun", "runtimes": {"crun": {"path": "/usr/bin/crun"}},\n'
        ' "registry-mirrors": ["http://127.0.0.1:5000"]}\n'
    ),
    "usr/share/labwright/registry.yml": (
        "version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\n"
        "storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}\n"
        'http: {addr: "127.0.0.1:5000", secret: none}\n'
    ),
    "etc/ssh/sshd_config.d/labwright.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\nPasswordAuthentication no\n"
        "PermitRootLogin no\nPrintLastLog no\nUsePAM no\nMaxSessions 50\n"
    ),
    "etc/sudoers.d/student": "student ALL=(ALL) NOPASSWD: ALL\n",
}


def image() -> Path:
    """Return the folder of the machine's Debian, made if it is not in the cache.

    It holds ``base.raw``, ``vmlinuz``, ``initramfs``, ``id_ed25519`` and ``host_key.pub``.

    :raises SetupError: a program is missing, or the build did not work.
    """
    return store.ensure(place().name, _make)


def place() -> Path:
    """Return where the machine's Debian is in the cache, or would be."""
    parts = [_script(name) for name in SCRIPTS]
    key = store.key(SUITE, KERNEL, DISK_SIZE, PACKAGES, repr(sorted(FILES.items())), *parts)
    return store.root() / f"debian-{key}"


def _script(name: str) -> str:
    return resources.files("labwright.vm").joinpath(name).read_text(encoding="utf-8")


def _make(folder: Path) -> None:
    if os.geteuid() == 0:
        programs.require(PROGRAMS)
    else:
        programs.require([*PROGRAMS, "newuidmap"])
        programs.require_lent_ids()
    with progress.step("building the lab machine's Debian", 40):
        for name in ("id_ed25519", "host_key"):
            argv = ["ssh-keygen", "-qt", "ed25519", "-N", "", "-C", "labwright"]
            subprocess.run([*argv, "-f", str(folder / name)], check=True)
        payload = folder / "payload.tar"
        with tarfile.open(payload, "w") as tar:
            for path, data in _payload(folder):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                entry.mode = 0o755 if data.startswith(b"#!") else 0o644
                tar.addfile(entry, io.BytesIO(data))
        _bootstrap(folder, payload)
        payload.unlink()
        (folder / "host_key").unlink()


def _payload(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield "tmp/customize.sh", _script("customize.sh").encode()
    yield "usr/share/labwright/early-init", _script("early-init.sh").encode()
    yield "usr/share/labwright/boot", _script("boot.sh").encode()
    yield "etc/ssh/ssh_host_ed25519_key", (folder / "host_key").read_bytes()
    yield "etc/ssh/ssh_host_ed25519_key.pub", (folder / "host_key.pub").read_bytes()
    yield "home/student/.ssh/authorized_keys", (folder / "id_ed25519.pub").read_bytes()
    for path, text in FILES.items():
        yield path, text.encode()


def _bootstrap(folder: Path, payload: Path) -> None:
    disk = os.open(folder / DISK, os.O_RDWR | os.O_CREAT, 0o600)
    # In a user namespace the hook that writes it is another user, who opens it anew.
    os.fchmod(disk, 0o666)
    arguments = [
        *("--variant=minbase", "--include=python3"),
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        *(f"--dpkgopt=path-exclude=/usr/share/{d}/*" for d in ("man", "doc", "locale")),
        '--aptopt=APT::Install-Recommends "false"',
        f"--customize-hook=tar-in {payload} /",
        '--customize-hook=sh "$1/tmp/customize.sh" "$1"',
        f"--customize-hook=download /boot/vmlinuz {folder / 'vmlinuz'}",
        f"--customize-hook=download /boot/initramfs {folder / 'initramfs'}",
        *(SUITE, "/dev/null", *mmdebstrap.sources(SUITE)),
    ]
    environment = {"PACKAGES": PACKAGES, "KERNEL": KERNEL, "DISK_SIZE": DISK_SIZE}
    try:
        mmdebstrap.run(arguments, disk, environment, folder.parent / "build.log")
    finally:
        os.close(disk)
    (folder / DISK).chmod(0o444)
