"""Makes the lab machine's Debian: a frozen disk, a kernel, an initramfs and its keys.

One mmdebstrap does it, as root or, for an ordinary user, in a user namespace; the disk is
written by its last hook, into a file that is handed to it open.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tarfile
from importlib import resources
from typing import TYPE_CHECKING

from labwright.errors import SetupError
from labwright.host import programs, progress
from labwright.host.leash import end_with_parent
from labwright.vm import accelerator, mmdebstrap, store, systems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from labwright.vm.systems import System

KERNEL = "linux-image-cloud-amd64"
DISK = "base.raw"
DISK_SIZE = "8G"
DISK_BYTES = 8 << 30
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""What Debian's packages are signed by; Ubuntu does not come with it."""
ESTIMATE_S = 50.0
RUN_PROGRAMS = (accelerator.QEMU, "qemu-img", "ssh")
"""What a machine that is built takes to run."""
PROGRAMS = ("mmdebstrap", "mke2fs", "cpio", "mount", "ssh-keygen", KEYRING)
SCRIPTS = {
    "tmp/customize.sh": "customize.sh",
    "usr/share/labwright/early-init": "early-init.sh",
    "usr/share/labwright/network": "network.sh",
    "usr/share/labwright/boot": "boot.sh",
}
"""Where the scripts are in the machine."""


def image(system: System) -> Path:
    """Return the folder of a system's Debian, made if it is not in the cache.

    It holds ``base.raw``, ``vmlinuz``, ``initramfs``, ``id_ed25519`` and ``host_key.pub``.

    :raises SetupError: a program is missing, or the build did not work.
    """
    return store.ensure(place(system).name, lambda folder: _make(system, folder))


def place(system: System) -> Path:
    """Return where a system's Debian is in the cache, or would be."""
    parts = [_script(name) for name in SCRIPTS.values()]
    files = repr(sorted(system.files.items()))
    made_of = store.key(repr(system), KERNEL, DISK_SIZE, files, *parts)
    return store.root() / f"{system.name}-{made_of}"


def _script(name: str) -> str:
    return resources.files("labwright.vm").joinpath(name).read_text(encoding="utf-8")


def require() -> None:
    """See to it that this computer can make a lab machine's Debian.

    :raises SetupError: it cannot; it says what to install, or what to do instead.
    """
    if not programs.find("mmdebstrap") and not programs.find("apt-get"):
        raise SetupError(
            "this computer cannot build a lab machine: that takes mmdebstrap, on Debian or Ubuntu. "
            "Run `labwright vm export FILE` on such a computer, and `labwright vm import FILE` here"
        )
    if os.geteuid() == 0:
        programs.require([*PROGRAMS, *RUN_PROGRAMS])
    else:
        programs.require([*PROGRAMS, *RUN_PROGRAMS, "newuidmap"])
        programs.require_subuid_ranges()


def _make(system: System, folder: Path) -> None:
    require()
    name = place(system).name
    what = f"building the lab machine's system, {system.name}"
    with progress.step(what, ESTIMATE_S, store.last_s(name)):
        for name in ("id_ed25519", "host_key"):
            argv = ["ssh-keygen", "-qt", "ed25519", "-N", "", "-C", "labwright"]
            programs.run([*argv, "-f", str(folder / name)]).check_returncode()
        payload = folder / "payload.tar"
        with tarfile.open(payload, "w") as tar:
            for path, data in _payload(system, folder):
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                entry.mode = 0o755 if data.startswith(b"#!") else 0o644
                tar.addfile(entry, io.BytesIO(data))
        _bootstrap(system, folder, payload)
        payload.unlink()
        (folder / "host_key").unlink()


def _payload(system: System, folder: Path) -> Iterator[tuple[str, bytes]]:
    for path, name in SCRIPTS.items():
        yield path, _script(name).encode()
    yield "etc/ssh/ssh_host_ed25519_key", (folder / "host_key").read_bytes()
    yield "etc/ssh/ssh_host_ed25519_key.pub", (folder / "host_key.pub").read_bytes()
    yield "home/student/.ssh/authorized_keys", (folder / "id_ed25519.pub").read_bytes()
    for path, text in system.files.items():
        yield path, text.encode()


def _bootstrap(system: System, folder: Path, payload: Path) -> None:
    disk = os.open(folder / DISK, os.O_RDWR | os.O_CREAT, 0o600)
    # In a user namespace the hook that writes it is another user, who opens it anew.
    os.fchmod(disk, 0o666)
    arguments = [
        *("--variant=minbase", "--include=python3"),
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        *(f"--dpkgopt=path-exclude=/usr/share/{d}/*" for d in ("man", "doc", "locale")),
        '--aptopt=APT::Install-Recommends "false"',
        *mmdebstrap.options(),
        f"--customize-hook=tar-in {payload} /",
        '--customize-hook=sh "$1/tmp/customize.sh" "$1"',
        f"--customize-hook=download /boot/vmlinuz {folder / 'vmlinuz'}",
        f"--customize-hook=download /boot/initramfs {folder / 'initramfs'}",
        *(system.suite, "/dev/null", *mmdebstrap.sources(system.suite)),
    ]
    environment = {
        "PACKAGES": system.packages,
        "KERNEL": KERNEL,
        "INIT": system.init,
        "DISK_SIZE": DISK_SIZE,
    }
    try:
        mmdebstrap.run(arguments, disk, environment, folder.parent / "build.log")
    finally:
        os.close(disk)
    (folder / DISK).chmod(0o444)


def main() -> int:
    """Make the default system's Debian; the launcher runs this before anything is installed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    end_with_parent()
    try:
        image(systems.DEFAULT)
    except SetupError as problem:
        sys.stderr.write(f"labwright: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
