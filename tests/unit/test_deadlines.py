"""Nothing that a machine, a student or a network does holds labwright for ever.

Every call in the source that may wait without an end has a time-out, or stands below with the
reason why it ends.
"""

from __future__ import annotations

import ast
from pathlib import Path

import labwright

ENDS = {
    # People themselves end these.
    "cli/lab_commands.py:run_tests": "the tests that the user asked for; Ctrl-C ends them",
    "machines/ssh.py:SshMachine.interactive": "the user's own session in their terminal",
    "components/workload/client.py:serve_statistics": "serves until its listener is closed",
    # Only this computer's own processes are waited for, and those have deadlines.
    "batch/pool.py:spread": "held exclusively for a moment only, when a class begins; and a result",
    "batch/pool.py:examine": "a result that is there",
    "batch/cluster.py:spread": "a method of ours, which asks again and again",
    "cli/mistakes.py:_try_all": "a job that is done",
    "host/temporary.py:Scratch.__init__": "a new folder of our own, which nobody else locks",
    "vm/store.py:locked": "said to the user, who may end it; the build that it waits for is told",
    "vm/mmdebstrap.py:run": "said to the user, with how long it takes; Ctrl-C ends it",
    "components/workload/probe.py:run_command": "its whole process group was just killed",
    "components/workload/probe.py:printed": "its whole process group was just killed",
    "live/visitor.py:main": "its input is its owner's, who writes at once",
    "live/terminals.py:Pty.wait": "called in a thread of its own, and ends with the terminal",
    # The kernel answers at once.
    "components/gorb/netlink.py:NetlinkSocket._answers": "a netlink socket: the kernel answers",
}
SOCKET = {"accept", "recv", "recv_into", "recvfrom", "sendall", "connect"}
"""In a module that sets a socket's time-out these have one."""
ROOMS = ("src/labwright", "checks", "fixtures", "reports")


def unbounded(call: ast.Call, module: str) -> bool:
    """Whether a call may wait without an end."""
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    given = {keyword.arg for keyword in call.keywords}
    bare = not call.args and not given
    if last in SOCKET and isinstance(call.func, ast.Attribute):
        receiver = name.rpartition(".")[0]
        is_socket = any(word in receiver for word in ("sock", "connection", "listener", "super()"))
        return is_socket and "settimeout(" not in module and "setblocking(False)" not in module
    if name.startswith("subprocess.") and last in {"run", "call", "check_call", "check_output"}:
        return "timeout" not in given
    if name.startswith("requests.") and last in {"get", "post", "put", "request", "delete"}:
        return "timeout" not in given
    if last == "communicate":
        return "timeout" not in given
    if last in {"wait", "join", "get", "acquire", "result", "readline", "recv_bytes"}:
        return bare and name not in {"campaign.result"} and "streams" not in name
    if last == "select":
        return len(call.args) < 4 if name == "select.select" else bare
    if last in {"urlopen", "create_connection", "DockerClient"}:
        return "timeout" not in given and len(call.args) < 2
    if last == "expect":
        return "timeout" not in given
    if last == "flock":
        return "LOCK_NB" not in ast.unparse(call) and "LOCK_UN" not in ast.unparse(call)
    return (last == "waitpid" and "WNOHANG" not in ast.unparse(call)) or name == "input"


def waits(path: Path, room: Path) -> list[tuple[str, int]]:
    """Return the calls of a file that may wait without an end: their places and lines."""
    text = path.read_text(encoding="utf-8")
    found = []
    awaited: set[ast.AST] = set()

    def look(node: ast.AST, within: tuple[str, ...]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            within = (*within, node.name)
        # What is awaited holds up no other task, and ends with the page that it is for.
        if isinstance(node, ast.Await):
            awaited.add(node.value)
        if isinstance(node, ast.Call) and node not in awaited and unbounded(node, text):
            found.append((f"{path.relative_to(room)}:{'.'.join(within)}", node.lineno))
        for child in ast.iter_child_nodes(node):
            look(child, within)

    look(ast.parse(text), ())
    return found


def test_every_wait_has_a_deadline_or_a_reason():
    package = Path(labwright.__file__).parent
    checkout = Path(__file__).parents[2]
    roots = [package, *(checkout / room for room in ROOMS[1:])]
    found = [wait for root in roots for path in root.rglob("*.py") for wait in waits(path, root)]
    missing = [f"{place}, line {line}" for place, line in found if place not in ENDS]
    assert not missing, "give each a time-out, or a reason in ENDS"
    needless = set(ENDS) - {place for place, _ in found}
    assert needless == set(), "these reasons are not needed any more"


def test_what_may_wait_for_ever_is_found(tmp_path):
    sample = tmp_path / "sample.py"
    sample.write_text(
        "import subprocess, select, socket, requests\n"
        "def f(process, thread, queue, sock, child, selector):\n"
        "    subprocess.run(['x'])\n    process.communicate()\n    process.wait()\n"
        "    thread.join()\n    queue.get()\n    sock.recv(1)\n    requests.get('x')\n"
        "    select.select([], [], [])\n    selector.select()\n    child.expect('x')\n"
        "    input()\n"
        "    subprocess.run(['x'], timeout=1)\n    thread.join(1)\n    ','.join([])\n"
        "    {}.get('x')\n    selector.select(1)\n"
    )
    assert [line for _, line in waits(sample, tmp_path)] == list(range(3, 14))
