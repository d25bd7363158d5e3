"""The systems that a lab machine can have: which Debian, and how it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labwright.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labwright.lab.model import Lab

_COMMON = (
    "bsdutils busybox-static ca-certificates crun curl docker.io docker-registry ipvsadm iproute2 "
    "iptables kmod less net-tools netbase openssh-server procps sudo util-linux"
)
"""Beside a minimal Debian with python3."""
_SYSTEMD = "dbus docker-cli libpam-systemd systemd-sysv"

_FILES = {
    "etc/hostname": "lab\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
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
    "etc/sudoers.d/student": "student ALL=(ALL) NOPASSWD: ALL\n",
}
_BUSYBOX_FILES = {
    "etc/inittab": "::sysinit:/usr/share/labwright/boot\n::ctrlaltdel:/sbin/reboot\n",
    # Docker's init script leaves cgroups alone when it sees them here; else it mounts the
    # old hierarchies, and crun finds no controller left in the unified one.
    "etc/fstab": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "etc/ssh/sshd_config.d/labwright.conf": (
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\nPasswordAuthentication no\n"
        "PermitRootLogin no\nPrintLastLog no\nUsePAM no\nMaxSessions 50\n"
    ),
}
_SYSTEMD_FILES = {
    "etc/systemd/system/labwright-network.service": (
        "[Unit]\nDescription=Network of the lab machine\nDefaultDependencies=no\n"
        "After=local-fs.target\nBefore=network-pre.target network.target\nWants=network.target\n\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/share/labwright/network\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
    "etc/systemd/system/docker-registry.service": (
        "[Unit]\nDescription=Images that a student pulls\nAfter=network.target\n\n"
        "[Service]\nUser=docker-registry\nRestart=on-failure\n"
        "ExecStart=/usr/bin/docker-registry serve /usr/share/labwright/registry.yml\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
    # On a busy computer containerd can take longer than Docker waits for it.
    "etc/systemd/system/docker.service.d/labwright.conf": (
        "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestart=always\nRestartSec=1\n"
    ),
}


@dataclass(frozen=True)
class System:
    """What a lab machine runs."""

    name: str
    suite: str
    """Of Debian."""
    init: str
    """``systemd``, or ``busybox`` for a machine that has nothing but what a lab needs."""
    packages: str
    """Beside a minimal Debian with python3."""

    @property
    def files(self) -> Mapping[str, str]:
        """Return the files that the machine has, by their paths."""
        return {**_FILES, **(_SYSTEMD_FILES if self.init == "systemd" else _BUSYBOX_FILES)}


SYSTEMS = {
    system.name: system
    for system in (
        System("debian-12", "bookworm", "busybox", _COMMON),
        System("debian-13", "trixie", "systemd", f"{_COMMON} {_SYSTEMD}"),
        System("debian-14", "forky", "systemd", f"{_COMMON} {_SYSTEMD}"),
    )
}
DEFAULT = SYSTEMS["debian-12"]
"""The system that is meant where none is named."""


def choose(lab: Lab, name: str | None) -> System:
    """Return the system that a lab's machine has: the one of this name, or the lab's first.

    :raises UsageError: the lab cannot be done on it.
    """
    for known in lab.systems:
        if known not in SYSTEMS:
            raise UsageError(
                f"{lab.folder / 'lab.toml'}: 'systems' has {known!r:.60}; known are: "
                f"{', '.join(SYSTEMS)}"
            )
    if name is None:
        return SYSTEMS[lab.systems[0]] if lab.systems else DEFAULT
    if lab.systems and name not in lab.systems:
        raise UsageError(
            f"the lab {lab.name} needs --system {' or '.join(lab.systems)}: its lab.toml says so"
        )
    return SYSTEMS[name]
