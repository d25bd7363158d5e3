"""Each kind of claim holds, fails for the right reason, or could not be checked."""

from __future__ import annotations

import json

import pytest

from labwright.checks import claims
from labwright.checks.claims.inspection import INSPECTORS
from labwright.errors import CheckFailed, CommandTimedOut, MachineError
from labwright.lab.claims import KINDS
from labwright.outcome import Evidence, Notice

from .claim_machine import Answering

DENIED = (1, "", "stat: cannot statx '/root/x': Permission denied")
NO_SUDO = (1, "", "sudo: a password is required")
NO_FILE = (1, "", "stat: cannot statx '/x': No such file or directory")
STAT = "regular file,644,ann,staff\n"
READ = {"^stat": STAT, "^readlink": (1, "", ""), "^head": "one\ntwo\n"}
SS = """\
LISTEN 0 511    0.0.0.0:80    0.0.0.0:* users:(("nginx",pid=7,fd=6),("nginx",pid=6,fd=6))
LISTEN 0 511       [::]:80       [::]:* users:(("nginx",pid=7,fd=7))
LISTEN 0 128  127.0.0.1:631   0.0.0.0:*
LISTEN 0 128      [::1]:631      [::]:*
LISTEN 0 5   10.0.2.15:8080   0.0.0.0:* users:(("python3",pid=9,fd=3))
"""
HTTP = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: nginx\r\n\r\n<h1>My blog</h1>\n"
UNIT = """\
LoadState=loaded
ActiveState=active
SubState=running
Result=success
UnitFileState=enabled
User=www-data
"""
PS = """\
      1 Ss   root                             systemd         /sbin/init
    620 Ss   root                             nginx           nginx: master process /usr/sbin/nginx
    621 S    www-data                         nginx           nginx: worker process
    700 S    ann                              python3         python3 /opt/app/serve.py --port 80
    800 Z    root                             zombie          [zombie] <defunct>
"""
MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 7:0 / /data rw,noexec,relatime - ext4 /dev/loop0 rw
31 22 254:1 /srv/my\\040site /mnt/site ro,relatime - ext4 /dev/vda1 rw
"""
ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "10.0.2.2", "dev": "enp0s3"},
        {"dst": "10.2.0.0/24", "gateway": "10.1.0.1", "dev": "veth0"},
        {"dst": "10.9.9.9", "dev": "veth0"},
    ]
)
LINKS = json.dumps(
    [
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "mtu": 65536, "addr_info": []},
        {
            "ifname": "br0",
            "flags": ["BROADCAST", "UP"],
            "mtu": 1500,
            "linkinfo": {"info_kind": "bridge"},
            "addr_info": [{"local": "10.0.0.1", "prefixlen": 24}],
        },
        {"ifname": "veth0", "flags": [], "mtu": 1500, "master": "br0", "addr_info": []},
    ]
)
CRONTAB = "# m h dom mon dow\nMAILTO=ann\n0  3 * * *  /home/ann/backup.sh --all\n@daily tidy\n"
CRON = {"crontab -l": CRONTAB, "^grep": "17 * * * * root run-parts /etc/hourly\n", "^id": "ann\n"}
CONTAINER = json.dumps(
    [
        {
            "Image": "sha256:1",
            "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}},
            "Config": {"Image": "nginx", "Env": ["MODE=live"]},
            "HostConfig": {
                "RestartPolicy": {"Name": "always"},
                "PortBindings": {
                    "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                    "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
                },
            },
            "NetworkSettings": {"Networks": {"front": {}}},
            "Mounts": [{"Name": "data", "Source": "/var/lib/x", "Destination": "/data"}],
        }
    ]
)
IMAGE = json.dumps([{"Id": "sha256:1", "RepoTags": ["my-site:1.0"], "Config": {
    "ExposedPorts": {"80/tcp": {}}, "Entrypoint": ["nginx"], "Cmd": ["-g", "daemon off;"]}}])  # fmt: skip
NETWORK = json.dumps([{"Driver": "bridge", "Internal": False, "IPAM": {"Config": [
    {"Subnet": "172.30.0.0/16"}]}, "Containers": {"a": {"Name": "web"}}}])  # fmt: skip
NO_CONTAINER = (1, "[]\n", "Error response from daemon: No such container: web")
NO_DOCKER = (1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")


def outcome(table: dict, answers: dict) -> str:
    """Return what is said of a claim: empty if it holds."""
    key = next(key for key in table if key in KINDS)
    machine = Answering(answers)
    try:
        seen = list(claims.hold(machine, [KINDS[key](**table)]))
    except CheckFailed as failure:
        return f"{failure.expected} | {failure.actual}"
    except MachineError as problem:
        return f"broken: {problem}"
    assert seen
    assert all(isinstance(piece, Evidence) and piece.ran for piece in seen)
    return ""


@pytest.mark.parametrize(
    ("table", "answers", "says"),
    [
        # A command.
        ({"command": "x", "equals": "hi"}, {"x": "hi\n"}, ""),
        ({"command": "x", "status": [1, 2]}, {"x": (2, "", "")}, ""),
        ({"command": "x", "equals": "hi"}, {"x": "ho\n"}, "output of `x` to be `hi` | it says `ho`"),
        ({"command": "x"}, {"x": (1, "", "no way\n")}, "`x` to exit 0 | it exited 1: no way"),
        ({"command": "x", "matches": "^b$"}, {"x": "a\nb\n"}, ""),
        ({"command": "x", "contains": ["a", "c"]}, {"x": "a\nb\n"}, "`c` in the output"),
        ({"command": "x", "lacks": "b"}, {"x": "a\nb\n"}, "no `b` in the output"),
        ({"command": "nope"}, {}, "broken: `nope` cannot be run: sh: 1: nope: not found"),
        ({"command": "nope", "status": 127}, {}, ""),
        ({"command": "x"}, {"x": CommandTimedOut("`x` did not end")}, "broken: `x` did not end"),
        # A file.
        ({"file": "/x"}, READ, ""),
        ({"file": "/x", "mode": "0644", "owner": "ann:staff", "contains": "two"}, READ, ""),
        ({"file": "/x", "equals": "one\ntwo"}, READ, ""),
        ({"file": "/x", "mode": "0600"}, READ, "mode 0600 | its mode is 0644"),
        ({"file": "/x", "owner": "root"}, READ, "to belong to root | it is ann's"),
        ({"file": "/x", "owner": ":root"}, READ, "group root | its group is staff"),
        ({"file": "/x", "contains": "six"}, READ, "`six` in /x | it says `one two`"),
        ({"file": "/x", "absent": True}, READ, "no file /x | it is there"),
        ({"file": "/x"}, {"stat": NO_FILE, "readlink": (1, "", "")}, "the file /x | there is none"),
        ({"file": "/x", "absent": True}, {"stat": NO_FILE, "readlink": (1, "", "")}, ""),
        ({"file": "/x"}, {"stat": NO_FILE, "readlink": "/y\n"}, "a link to /y, which is not there"),
        ({"file": "/x", "links_to": "/y"}, {**READ, "^readlink": "/y\n"}, ""),
        ({"file": "/x", "links_to": "/y"}, {**READ, "^readlink": "/z\n"}, "it is a link to /z"),
        ({"file": "/x"}, {"^stat": "directory,755,a,b\n", "link": ""}, "it is a directory"),
        ({"file": "/x"}, {"^stat": DENIED, "^sudo": NO_SUDO}, "broken: the file /x could not"),
        ({"file": "/x"}, {"^stat": DENIED, "^sudo": STAT, "link": ""}, ""),
        ({"file": "/x", "contains": "z"}, {**READ, "^head": "a" * 70000}, "broken: /x is too long"),
        ({"file": "/x", "contains": "a"}, {**READ, "^head": "a" * 70000}, ""),
        # A directory.
        ({"directory": "/d", "holds": "a"}, {"^stat": "directory,755,a,b\n", "^ls": "a\nb\n"}, ""),
        ({"directory": "/d", "holds": "c"}, {"^stat": "directory,755,a,b\n", "^ls": "a\n"}, "c in"),
        ({"directory": "/d"}, {"^stat": STAT}, "it is a regular file"),
        ({"directory": "/d"}, {"^stat": NO_FILE}, "the directory /d | there is none"),
        # A port.
        ({"port": 80, "by": "nginx", "address": "any"}, {"^ss": SS}, ""),
        ({"port": 631, "address": "localhost"}, {"^ss": SS}, ""),
        ({"port": 80, "address": "localhost"}, {"^ss": SS}, "it listens on every address"),
        ({"port": 8080, "by": "nginx"}, {"^ss": SS}, "nginx to listen on port 8080 | python3 does"),
        ({"port": 8080, "address": "10.0.2.15"}, {"^ss": SS}, ""),
        ({"port": 808}, {"^ss": SS}, "a program that listens on port 808 | none does"),
        ({"port": 80, "absent": True}, {"^ss": SS}, "nobody to listen on port 80"),
        ({"port": 631, "by": "cupsd"}, {"^ss": SS, "^sudo": NO_SUDO}, "broken: only root can see"),
        ({"port": 631}, {"^ss": SS}, ""),
        ({"port": 80}, {}, "broken: port 80 could not be checked"),
        ({"port": 80, "netns": "n"}, {"^ip netns exec n ss": SS}, ""),
        (
            {"port": 80, "netns": "n"},
            {"^ip": (1, "", 'Cannot open network namespace "n": No such file or directory')},
            "a network namespace n | there is none",
        ),
        # HTTP.
        ({"http": "http://a/", "contains": "blog", "headers": {"server": "nginx"}}, {"^curl": HTTP}, ""),
        ({"http": "http://a/", "status": 404}, {"^curl": HTTP}, "status 404 | it answered with 200"),
        ({"http": "http://a/", "headers": {"X": "y"}}, {"^curl": HTTP}, "it sends no such header"),
        ({"http": "http://a/", "contains": "shop"}, {"^curl": HTTP}, "it says `<h1>My blog</h1>`"),
        ({"http": "http://a/"}, {"^curl": (7, "", "refused")}, "the connection is refused"),
        ({"http": "http://a/"}, {"^curl": (6, "", "Could not resolve host: a")}, "broken: http://a/"),
        ({"http": "http://a/"}, {}, "broken: .*curl: not found"),
        ({"http": "http://a/"}, {"^curl": "HTTP/1.1 100 Continue\r\n\r\n" + HTTP}, ""),
        # A service and a timer.
        ({"service": "web", "running": True, "enabled": True, "owner": "www-data"}, {"show": UNIT}, ""),
        ({"service": "web", "running": False}, {"show": UNIT}, "not to be active | it is active"),
        ({"service": "web", "enabled": False}, {"show": UNIT}, "not to be enabled at boot"),
        ({"service": "web", "owner": "root"}, {"show": UNIT}, "it runs as www-data"),
        (
            {"service": "web", "running": True},
            {"show": UNIT.replace("=active", "=failed").replace("success", "exit-code")},
            r"it is failed \(running, exit-code\)",
        ),
        ({"service": "web"}, {"show": "LoadState=not-found\n"}, "systemd knows none"),
        ({"service": "web"}, {"show": "LoadState=masked\n"}, "it is masked"),
        ({"service": "web", "absent": True}, {"show": "LoadState=not-found\n"}, ""),
        ({"service": "web"}, {"show": (1, "", "System has not been booted")}, "broken: web.service"),
        ({"timer": "b", "schedule": "03:00"}, {"b.timer": UNIT + "TimersCalendar={ *-*-* 03:00:00 }\n"}, ""),
        ({"timer": "b", "schedule": "04:00"}, {"b.timer": UNIT + "TimersCalendar={ 03:00 }\n"}, "03:00"),
        ({"timer": "b"}, {"show": UNIT.replace("=active", "=inactive")}, "it is inactive"),
        # A process.
        ({"process": "nginx", "owner": "www-data", "count": 1}, {"^ps": PS}, ""),
        ({"process": "nginx", "count": 2}, {"^ps": PS}, ""),
        ({"process": "serve.py", "arguments": "--port 80"}, {"^ps": PS}, ""),
        ({"process": "serve.py", "arguments": "--port 81"}, {"^ps": PS}, "it runs as `python3"),
        ({"process": "nginx", "owner": "ann"}, {"^ps": PS}, "it runs as root and www-data"),
        ({"process": "zombie"}, {"^ps": PS}, "a process zombie | there is none"),
        ({"process": "apache2"}, {"^ps": PS}, "a process apache2 | there is none"),
        ({"process": "nginx", "absent": True}, {"^ps": PS}, "no process nginx"),
        ({"process": "nginx"}, {"^ps": "7 S ann sh sh\n", "^sudo": NO_SUDO}, "broken: the processes of"),
        # Packages and programs.
        ({"package": "nginx", "version": "1.22"}, {"dpkg": "install ok installed 1.22.1-9\n"}, ""),
        ({"package": "nginx", "version": ">= 1.18"}, {"dpkg": "install ok installed 1:1.22.1-9\n"}, ""),
        ({"package": "nginx", "version": ">= 1.30"}, {"dpkg": "install ok installed 1.22.1\n"}, "is 1.22"),
        ({"package": "nginx", "version": "1.2"}, {"dpkg": "install ok installed 1.22.1\n"}, "is 1.22.1"),
        ({"package": "nginx"}, {"dpkg": (1, "", "no packages found")}, "it is not installed"),
        ({"package": "nginx"}, {"dpkg": "deinstall ok config-files 1.2\n"}, "it is not installed"),
        ({"package": "nginx", "absent": True}, {"dpkg": (1, "", "no packages found")}, ""),
        ({"package": "nginx"}, {}, "broken: the package nginx"),
        ({"program": "htop"}, {"command -v": "/usr/bin/htop\n"}, ""),
        ({"program": "htop"}, {"command -v": (127, "", "")}, "a program htop | there is none"),
        ({"program": "htop", "path": "/opt/htop"}, {"command -v": "/usr/bin/htop"}, "it is /usr/bin"),
        # Users and groups.
        ({"user": "ann", "groups": ["www"], "shell": "/bin/sh"}, {"passwd": "ann:x:7:7::/home/ann:/bin/sh\n", "^id": "ann www\n"}, ""),
        ({"user": "ann", "uid": 8}, {"passwd": "ann:x:7:7::/h:/bin/sh\n", "^id": "ann\n"}, "uid 8 | it is 7"),
        ({"user": "ann", "groups": "www"}, {"passwd": "ann:x:7:7::/h:/bin/sh\n", "^id": "ann\n"}, "groups are ann"),
        ({"user": "ann"}, {"passwd": (2, "", ""), "^id": (1, "", "")}, "a user ann | there is none"),
        ({"user": "ann", "absent": True}, {"passwd": (2, "", ""), "^id": (1, "", "")}, ""),
        ({"user": "ann"}, {}, "broken: the user ann"),
        ({"group": "www", "members": "ann"}, {"getent": "www:x:9:\n", "^id": "ann www\n"}, ""),
        ({"group": "www", "members": "ann"}, {"getent": "www:x:9:\n", "^id": "ann\n"}, "ann is in ann"),
        ({"group": "www", "gid": 8}, {"getent": "www:x:9:\n"}, "gid 8 | it is 9"),
        ({"group": "www"}, {"getent": (2, "", "")}, "a group www | there is none"),
        # The environment of a login.
        ({"environment": "X", "equals": "1"}, {"printenv": "welcome\nlabwright-environment:\n1\n"}, ""),
        ({"environment": "X", "equals": "2"}, {"printenv": "labwright-environment:\n1\n"}, "it says `1`"),
        ({"environment": "X"}, {"printenv": (1, "labwright-environment:\n", "")}, "it is not set"),
        ({"environment": "X", "absent": True}, {"printenv": (1, "labwright-environment:\n", "")}, ""),
        ({"environment": "X"}, {"printenv": (1, "", "no shell")}, "broken: the variable X"),
        # Mounts, parameters and modules.
        ({"mount": "/data", "fstype": "ext4", "options": "noexec", "persistent": True}, {"mountinfo": MOUNTS, "fstab": "/dev/loop0 /data ext4 noexec 0 0\n"}, ""),
        ({"mount": "/mnt/site/", "source": "/srv/my site"}, {"mountinfo": MOUNTS, "fstab": ""}, ""),
        ({"mount": "/data", "options": "ro"}, {"mountinfo": MOUNTS, "fstab": ""}, "its options are"),
        ({"mount": "/data", "persistent": True}, {"mountinfo": MOUNTS, "fstab": "# x /data\n"}, "in /etc/fstab"),
        ({"mount": "/none"}, {"mountinfo": MOUNTS, "fstab": ""}, "nothing is"),
        ({"mount": "/none", "absent": True}, {"mountinfo": MOUNTS, "fstab": ""}, ""),
        ({"sysctl": "net.ipv4.ip_forward", "value": 1}, {"^cat /proc/sys/net/ipv4/ip_f": "1\n"}, ""),
        ({"sysctl": "net.ipv4.ip_forward", "value": 1}, {"^cat": "0\n"}, "to be 1 | it is 0"),
        ({"sysctl": "a.b", "value": 1}, {"^cat": (1, "", "No such file or directory")}, "a parameter a.b"),
        ({"sysctl": "a.b", "value": 1, "persistent": True}, {"^cat": "1\n", "^grep": "a.b = 1\n"}, ""),
        ({"sysctl": "a.b", "value": 1, "persistent": True}, {"^cat": "1\n", "^grep": ""}, "no file sets it"),
        ({"module": "ip_vs"}, {"/sys/module": "loaded\n", "^grep": ""}, ""),
        ({"module": "ip-vs", "persistent": True}, {"/sys/module": "loaded\n", "^grep": ""}, "at boot"),
        ({"module": "ip_vs"}, {"/sys/module": "not loaded\n", "^grep": ""}, "it is not loaded"),
        ({"module": "ip_vs", "absent": True}, {"/sys/module": "not loaded\n", "^grep": ""}, ""),
        # The network.
        ({"route": "10.2.0.0/24", "via": "10.1.0.1", "device": "veth0"}, {"^ip -j": ROUTES}, ""),
        ({"route": "default", "via": "10.0.2.2"}, {"^ip -j": ROUTES}, ""),
        ({"route": "10.9.9.9/32"}, {"^ip -j": ROUTES}, ""),
        ({"route": "10.2.0.0/24", "via": "10.1.0.9"}, {"^ip -j": ROUTES}, "it is `10.2.0.0/24 via 10.1"),
        ({"route": "10.3.0.0/24"}, {"^ip -j": ROUTES}, "a route to 10.3.0.0/24 | there is none"),
        ({"route": "10.3.0.0/24", "absent": True}, {"^ip -j": ROUTES}, ""),
        ({"route": "default"}, {"^ip -j": (1, "", "Option -j is unknown")}, "broken: the route"),
        ({"interface": "br0", "up": True, "address": "10.0.0.1/24", "type": "bridge"}, {"^ip": LINKS}, ""),
        ({"interface": "veth0", "bridge": "br0", "up": False, "mtu": 1500}, {"^ip": LINKS}, ""),
        ({"interface": "br0", "address": "10.0.0.2"}, {"^ip": LINKS}, "it has 10.0.0.1/24"),
        ({"interface": "veth0", "up": True}, {"^ip": LINKS}, "to be up | it is down"),
        ({"interface": "eth7"}, {"^ip": LINKS}, "there is none; there are lo, br0, veth0"),
        ({"interface": "eth7", "absent": True}, {"^ip": LINKS}, ""),
        ({"namespace": "left"}, {"^ls": "left\nright\n"}, ""),
        ({"namespace": "up"}, {"^ls": "left\n"}, "there is none; there are: left"),
        ({"namespace": "up", "absent": True}, {"^ls": (2, "", "No such file or directory")}, ""),
        # Cron.
        ({"cron": "backup.sh", "schedule": "0 3 * * *"}, CRON, ""),
        ({"cron": "tidy", "schedule": "0 0 * * *"}, CRON, ""),
        ({"cron": "run-parts", "owner": "root"}, CRON, ""),
        ({"cron": "backup.sh", "schedule": "0 4 * * *"}, CRON, r"it runs at `0 3 \* \* \*`"),
        ({"cron": "backup.sh", "owner": "root"}, {**CRON, "crontab -l": (1, "", "no crontab for root")}, "of root | there is none"),
        ({"cron": "x"}, {**CRON, "crontab -l": (1, "", "no crontab for ann")}, "there is none"),
        ({"cron": "x", "owner": "root"}, {**CRON, "crontab -l": NO_SUDO}, "broken: the table of cron"),
        # Docker.
        ({"image": "my-site:1.0", "exposes": "80", "runs": "daemon off"}, {"image": IMAGE}, ""),
        ({"image": "my-site:1.0", "exposes": "81"}, {"image": IMAGE}, "it exposes 80/tcp"),
        ({"image": "x"}, {"image": (1, "[]", "Error: No such image: x")}, "Docker has none"),
        ({"image": "x"}, {"image": NO_DOCKER}, "broken: the image x"),
        (
            {
                "container": "web", "from_image": "docker.io/library/nginx:latest",
                "publishes": ["8080:80", "127.0.0.1:53:53/udp"], "networks": "front",
                "volumes": "data:/data", "variables": {"MODE": "live"}, "restart": "always",
                "healthy": True,
            },
            {"container": CONTAINER},
            "",
        ),
        ({"container": "web", "from_image": "re-tagged"}, {"container": CONTAINER, "image": IMAGE}, ""),
        ({"container": "web", "from_image": "httpd"}, {"container": CONTAINER, "image": NO_CONTAINER}, "made from nginx"),
        ({"container": "web", "publishes": "80:80"}, {"container": CONTAINER}, "it publishes"),
        ({"container": "web", "networks": "back"}, {"container": CONTAINER}, "it is in front"),
        ({"container": "web", "state": "exited"}, {"container": CONTAINER}, "it is running"),
        ({"container": "web"}, {"container": NO_CONTAINER}, "a container web | there is none"),
        ({"container": "web", "absent": True}, {"container": NO_CONTAINER}, ""),
        ({"container": "web"}, {"container": NO_DOCKER}, "broken: the container web"),
        ({"container": "web"}, {"container": (1, "", "permission denied"), "^sudo": NO_SUDO}, "broken"),
        ({"container": "web", "says": "ready"}, {"inspect": CONTAINER, "grep": "ready\n", "tail": "x"}, ""),
        ({"container": "web", "says": "ready"}, {"inspect": CONTAINER, "grep": "", "tail": "oops\n"}, "last printed `oops`"),
        ({"network": "front", "subnet": "172.30.0.0/16", "holds": "web", "driver": "bridge"}, {"network": NETWORK}, ""),
        ({"network": "front", "internal": True}, {"network": NETWORK}, "to be internal"),
        ({"network": "front", "holds": "db"}, {"network": NETWORK}, "web is"),
        ({"network": "front"}, {"network": (1, "", "Error: network front not found")}, "there is none"),
        ({"volume": "data", "driver": "local"}, {"volume": '[{"Driver": "local"}]'}, ""),
        ({"volume": "data"}, {"volume": (1, "", "Error: No such volume: data")}, "there is none"),
        ({"volume": "data"}, {"volume": "nonsense"}, "broken: Docker.s description"),
    ],
)  # fmt: skip
def test_a_claim_holds_fails_or_could_not_be_looked_at(table, answers, says):
    import re

    found = outcome(table, answers)
    assert (not found) if not says else re.search(says, found), found


def test_every_kind_is_looked_at():
    assert set(INSPECTORS) == set(KINDS.values())


def test_the_claims_of_a_step_share_their_visits():
    machine = Answering({**READ, "^ss": SS, "show": UNIT, "^ps": PS})
    stated = [
        claims.File("/x", contains="two"),
        claims.File("/x", mode="0644"),
        claims.Port(80, by="nginx"),
        claims.Service("web", running=True),
        claims.Process("nginx"),
    ]
    list(claims.hold(machine, stated))
    assert [len(visit) for visit in machine.visits] == [4, 1, 1]


def test_any_holds_if_one_does_even_where_another_could_not_be_looked_at():
    group = claims.Group(how="any", claims=[claims.File("/x"), claims.Namespace("n")])
    assert list(claims.hold(Answering({"^ls": "n\n"}), [group]))
    with pytest.raises(MachineError):
        list(claims.hold(Answering({"^ls": "m\n"}), [group]))
    machine = Answering({"^ls": "m\n", "^stat": NO_FILE, "^readlink": ""})
    with pytest.raises(CheckFailed, match="the file /x or a network namespace n"):
        list(claims.hold(machine, [group]))


def test_none_fails_where_one_holds():
    group = claims.Group(how="none", claims=[claims.Namespace("n"), claims.Namespace("m")])
    assert list(claims.hold(Answering({"^ls": "x\n"}), [group]))
    with pytest.raises(CheckFailed, match="not: namespace m"):
        list(claims.hold(Answering({"^ls": "m\n"}), [group]))


def test_a_notice_costs_nothing():
    seen = list(claims.hold(Answering({"^ls": "x\n"}), [claims.Namespace("n", notice=True)]))
    assert any(isinstance(piece, Notice) and "there is none" in piece.text for piece in seen)


def test_weights_leave_a_share_of_the_points():
    stated = [claims.Namespace("n", weight=3), claims.Namespace("m", weight=1)]
    with pytest.raises(CheckFailed) as caught:
        list(claims.hold(Answering({"^ls": "n\n"}), stated))
    assert caught.value.share == 0.75
    with pytest.raises(CheckFailed) as caught:
        list(claims.hold(Answering({"^ls": "x\n"}), stated))
    assert caught.value.share == 0


def test_a_share_is_not_told_where_a_claim_could_not_be_looked_at():
    stated = [claims.Namespace("n", weight=3), claims.Port(80, weight=1)]
    with pytest.raises(MachineError):
        list(claims.hold(Answering({"^ls": "x\n"}), stated))


def test_what_a_later_step_undoes_is_charged_only_where_it_was_just_reached():
    stated = [claims.Namespace("n", until="tidied")]
    machine = Answering({"^ls": "x\n"})
    seen = list(claims.hold(machine, stated))
    assert any("as the document asks for in tidied" in piece.claim for piece in seen)
    with pytest.raises(CheckFailed):
        list(claims.hold(machine, stated, undone=False))


def test_all_that_fails_is_said():
    with pytest.raises(
        CheckFailed, match="also: a network namespace m: there is none; there are: x"
    ):
        list(claims.hold(Answering({"^ls": "x\n"}), [claims.Namespace("n"), claims.Namespace("m")]))


FORBIDDEN = (2, "", "cat: Permission denied")


@pytest.mark.parametrize(
    ("claim", "answers"),
    [
        (
            {"file": "/x", "contains": "one"},
            {"^stat": STAT, "^readlink": (1, "", ""), "^head": FORBIDDEN, "^sudo.*head": "one\n"},
        ),
        (
            {"file": "/x", "links_to": "/y"},
            {"^stat": STAT, "^readlink": FORBIDDEN, "^sudo.*readlink": "/y\n"},
        ),
        (
            {"mount": "/data", "persistent": True},
            {
                "mountinfo": MOUNTS,
                "^grep": FORBIDDEN,
                "^sudo": "/dev/loop0 /data ext4 noexec 0 0\n",
            },
        ),
        ({"cron": "tidy-all"}, {**CRON, "^grep": FORBIDDEN, "^sudo": "0 1 * * * root tidy-all\n"}),
        (
            {"sysctl": "a.b", "value": 1, "persistent": True},
            {"^cat": "1\n", "^grep": FORBIDDEN, "^sudo": "a.b = 1\n"},
        ),
        (
            {"module": "ip_vs", "persistent": True},
            {"/sys/module": "loaded\n", "^grep": FORBIDDEN, "^sudo": "ip_vs\n"},
        ),
    ],
)
def test_what_only_root_may_read_is_read_by_root_or_is_broken(claim, answers):
    assert outcome(claim, answers) == ""
    without = {key: value for key, value in answers.items() if not key.startswith("^sudo")}
    assert outcome(claim, {**without, "^sudo": NO_SUDO}).startswith("broken: ")


def test_a_job_of_the_users_own_counts_though_another_file_may_not_be_read():
    answers = {**CRON, "^grep": FORBIDDEN, "^sudo": NO_SUDO}
    assert outcome({"cron": "backup.sh", "schedule": "0 3 * * *"}, answers) == ""
    assert outcome({"cron": "backup.sh", "absent": True}, answers).startswith("broken: ")
