"""Runs on a machine: packs its own Python and shell as the files of a container image.

    python3 -I base_image.py COMMAND ...

runs the command with a tar file as its input: python3 with its standard library, a shell, a
few small programs, and the shared libraries of these. So an image can be built where no registry
is reachable, on any distribution and architecture.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile

PROGRAMS = "sh cat env kill ls sleep".split()
FILES = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
]
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "pydoc_data"}
LEFT_OUT |= {"site-packages", "dist-packages", "turtledemo"}
COPY_S = 300


def main(command: list[str]) -> int:
    """Write the tar file; return the command's exit status."""
    python = os.path.realpath(sys.executable)
    stdlib = sysconfig.get_path("stdlib")
    programs = [found for name in PROGRAMS for found in [which(name)] if found]
    modules = sorted(modules_of(stdlib))
    shared = [python, *programs, *(path for path in modules if path.endswith(".so"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|") as tar:
                tree = Tree(tar)
                for path in ["/bin", "/sbin", "/lib", "/lib64"]:  # links, on most systems
                    tree.add(path)
                for path in [python, *programs, *modules, *libraries(shared), *FILES]:
                    tree.add(path)
                tree.add_text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
                tree.add_text("/etc/group", "root:x:0:\n")
                tree.add_folder("/tmp", 0o1777)
                if not tree.has("/usr/bin/python3"):
                    tree.add_link("/usr/bin/python3", python)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the command prints why it ended
        return process.wait(timeout=COPY_S)


def which(name: str) -> str | None:
    """Return the path of a program."""
    places = (os.path.join(folder, name) for folder in ("/usr/bin", "/bin"))
    return next((path for path in places if os.access(path, os.X_OK)), None)


def modules_of(stdlib: str) -> list[str]:
    """Return the files of the standard library."""
    found = []
    for folder, below, names in os.walk(stdlib):
        below[:] = [
            name for name in below if name not in LEFT_OUT and not name.startswith("config-")
        ]
        found += [os.path.join(folder, name) for name in names if not name.endswith((".a", ".exe"))]
    return found


def libraries(paths: list[str]) -> list[str]:
    """Return the shared libraries that programs and modules load, found with ldd."""
    done = subprocess.run(
        ["ldd", *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=COPY_S,
        check=False,
    )
    words = done.stdout.decode(errors="replace").split()
    return sorted({word for word in words if word.startswith("/") and not word.endswith(":")})


class Tree:
    """A tar file to which paths are added, each with the symbolic links on its way."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._done: set[str] = {"/"}

    def has(self, path: str) -> bool:
        """Whether a path was added."""
        return path in self._done

    def add(self, path: str) -> None:
        """Add a file; if its path contains a link, add the link and its target."""
        parts = os.path.normpath(path).strip("/").split("/")
        for count in range(1, len(parts) + 1):
            here = "/" + "/".join(parts[:count])
            if os.path.islink(here):
                target = os.path.join(os.path.dirname(here), os.readlink(here))
                if here not in self._done:
                    self.add_link(here, os.readlink(here))
                self.add("/".join([target, *parts[count:]]))
                return
            if here in self._done or not os.path.exists(here):
                continue
            self._done.add(here)
            self._tar.add(here, here.lstrip("/"), recursive=False, filter=owned_by_root)

    def add_text(self, path: str, text: str) -> None:
        """Add a small file."""
        import io

        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.size, entry.mode = len(text), 0o644
        self._done.add(path)
        self._tar.addfile(entry, io.BytesIO(text.encode()))

    def add_folder(self, path: str, mode: int) -> None:
        """Add an empty folder."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(entry)

    def add_link(self, path: str, target: str) -> None:
        """Add a link."""
        entry = tarfile.TarInfo(path.lstrip("/"))
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._done.add(path)
        self._tar.addfile(entry)


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the entry with root as its owner."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
