"""Finds the socket of a machine's Docker Engine: the one that the user's `docker` command uses."""

from __future__ import annotations

from dataclasses import dataclass

from labwright.errors import MachineError

ORDINARY = "/var/run/docker.sock"
FIND_S = 30.0
FIND = r"""
host=$DOCKER_HOST from=DOCKER_HOST uid=$(id -u)
if [ -z "$host" ] && grep -qs DOCKER_HOST ~/.profile ~/.bash_profile ~/.bash_login ~/.bashrc \
    ~/.zshenv ~/.zprofile ~/.zshrc ~/.tcshrc ~/.config/fish/config.fish /etc/environment \
    /etc/profile.d/*.sh; then
    # As in a terminal: most start-up files do nothing for a single command.
    host=$(timeout 10 "${SHELL:-sh}" -i -l -c 'echo labwright=$DOCKER_HOST' </dev/null 2>/dev/null |
        sed -n 's/^labwright=//p' | tail -n 1)
fi
if [ -z "$host" ]; then
    context=${DOCKER_CONTEXT:-$(sed -n 's/.*"currentContext": *"\([^"]*\)".*/\1/p' \
        "${DOCKER_CONFIG:-$HOME/.docker}/config.json" 2>/dev/null)}
    if [ -n "$context" ] && [ "$context" != default ]; then
        from="the docker context $context"
        host=$(timeout 10 docker context inspect --format '{{.Endpoints.docker.Host}}' "$context")
    fi
fi
if [ -z "$host" ]; then
    run=${XDG_RUNTIME_DIR:-/run/user/$uid}
    for each in "/var/run/docker.sock=" "$run/docker.sock=rootless Docker" \
        "$HOME/.docker/run/docker.sock=Docker Desktop" \
        "$HOME/.docker/desktop/docker.sock=Docker Desktop" \
        "/run/podman/podman.sock=Podman" "$run/podman/podman.sock=rootless Podman"; do
        if [ -S "${each%%=*}" ]; then host=unix://${each%%=*} from=${each#*=}; break; fi
    done
fi
path=${host#unix://}
echo "host=$host"
[ -z "$host" ] || echo "from=$from"
echo "user=$(id -un)"
if command -v docker >/dev/null; then echo installed=yes; fi
if [ -n "$host" ] && [ -S "$path" ]; then echo there=yes; fi
if [ -n "$host" ] && [ -w "$path" ]; then
    echo writable=yes
elif [ -S "$path" ] && sudo -n true 2>/dev/null; then
    echo sudo=yes
fi
"""
"""A shell command that prints where the socket is, as ``key=value``, one a line."""


@dataclass(frozen=True)
class DockerHost:
    """A Docker Engine's socket on a machine."""

    path: str = ""
    """The socket's path; empty if there is no Docker Engine."""
    source: str = ""
    """The setting that leads there, in words; empty for the default socket."""
    user: str = ""
    installed: bool = False
    """Whether the ``docker`` command is installed."""
    there: bool = False
    """Whether a socket exists at the path."""
    writable: bool = False
    sudo: bool = False
    """Whether sudo works without a password, so that root can use the socket."""

    def relay(self) -> str:
        """Return a command that connects its standard input and output to the socket."""
        root = "" if self.writable else "sudo -n "
        return f"exec {root}env DOCKER_HOST=unix://{self.path} docker system dial-stdio"

    def problem(self, target: str) -> str:
        """Return why the Engine cannot be used, judged by the machine's files; "" if it can."""
        via = f" ({self.source})" if self.source else ""
        if not self.path and not self.installed:
            return f"Docker is not installed on {target}"
        if not self.path:
            return f"the Docker Engine does not run on {target}: `sudo systemctl start docker`"
        if not self.there:
            return f"no Docker Engine listens at {self.path} on {target}{via}"
        if not self.writable and not self.sudo:
            return (
                f"the user {self.user} on {target} may not use Docker{via}: "
                f"`sudo usermod -aG docker {self.user}`, then log in again"
            )
        return ""


def found(said: str, target: str) -> DockerHost:
    """Return the socket that :data:`FIND` printed on a machine.

    :raises MachineError: the Engine is not on this machine.
    """
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    host, source = facts.get("host", ""), facts.get("from", "")
    if host and not host.startswith(("unix:///", "/")):
        raise MachineError(
            f"the Docker of {target} is at {host[:200]} ({source[:100]}), but the lab "
            "is graded on the machine itself"
        )
    return DockerHost(
        path=host.removeprefix("unix://"),
        source=source,
        user=facts.get("user", "")[:64],
        **{name: facts.get(name) == "yes" for name in ("installed", "there", "writable", "sudo")},
    )
