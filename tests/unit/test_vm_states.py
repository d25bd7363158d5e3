"""A state stands on the very things it was made on, and is not used when they are damaged."""

from __future__ import annotations

import pytest

from labwright.machines.vm import components, qemu, states, store
from labwright.machines.vm.states import State


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "NEEDED_BYTES", 0)
    # Which QEMU this computer has is not what is tested.
    monkeypatch.setattr(states, "_qemu_version", lambda: "QEMU")
    return store.root()


def made(name, data=b"x" * 100):
    return store.ensure(name, lambda folder: (folder / "disk").write_bytes(data) and None)


def state(name, parent, key="key"):
    return State(name, parent, key, lambda machine: None, 1)


def test_a_state_comes_after_all_that_it_stands_on():
    known = {"servers": state("servers", "docker"), "deployed": state("deployed", "servers")}
    found = states._ancestry("deployed", known)
    assert [each.name for each in found] == ["base", "docker", "servers", "deployed"]


def test_a_lab_cannot_put_another_state_in_the_place_of_docker():
    mine = state("docker", "")
    assert mine not in states._ancestry("docker", {"docker": mine})


def test_the_same_parts_made_anew_are_another_parent_to_a_state():
    before = states._name(state("servers", "docker"), made("thing"), "tcg")
    store.remove(store.root() / "thing")
    assert states._name(state("servers", "docker"), made("thing"), "tcg") != before


def test_another_accelerator_or_preparation_is_another_state():
    parent = made("thing")
    names = {
        states._name(state("servers", "docker", key), parent, accelerator)
        for key in ("one", "other")
        for accelerator in ("tcg", "kvm")
    }
    assert len(names) == 4


def test_what_is_damaged_goes_with_all_that_stands_on_it():
    chain = [made("debian"), made("base"), made("docker")]
    (chain[1] / "disk").write_bytes(b"y" * 100)  # of the same size
    assert states.discard_damaged(chain)
    assert [folder.exists() for folder in chain] == [True, False, False]


def test_what_is_intact_stays():
    chain = [made("debian"), made("base")]
    assert not states.discard_damaged(chain)
    assert all(folder.exists() for folder in chain)


def test_holes_count_as_zeros_in_a_checksum(cache):
    sparse, dense = cache / "sparse", cache / "dense"
    with sparse.open("wb") as file:
        file.seek(3 * store.BLOCK)
        file.write(b"end")
    dense.write_bytes(bytes(3 * store.BLOCK) + b"end")
    assert store._checksum(sparse) == store._checksum(dense)
    dense.write_bytes(bytes(2 * store.BLOCK) + b"end" + bytes(store.BLOCK))
    assert store._checksum(sparse) != store._checksum(dense)


def test_a_path_with_a_comma_stays_one_value_among_qemus_options(tmp_path):
    odd = tmp_path / "a,b"
    launch = qemu.Launch(odd, odd, "tcg", odd / "memory", False, None, True)
    (option,) = (part for part in qemu._command(launch) if "mem-path" in part)
    assert f"mem-path={tmp_path}/a,,b/memory,share=off" in option


def test_an_image_holds_nothing_of_the_grader():
    for component in components.COMPONENTS:
        names = [name for name, _ in components._sources(component)]
        assert "Dockerfile" in names
        tops = {name.split("/")[2] for name in names if name.startswith("site-packages/")}
        assert tops == {"__init__.py", component.package}


def test_the_key_of_the_images_changes_with_their_sources(monkeypatch, tmp_path):
    before = components.key()
    assert components.key() == before
    changed = components._sources(components.COMPONENTS[0])
    first, *rest = changed
    monkeypatch.setattr(components, "_sources", lambda _: [(first[0], b"changed"), *rest])
    assert components.key() != before


def test_the_disk_of_a_state_names_the_one_below_it_relatively(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(
        states.subprocess,
        "run",
        lambda argv, **_: commands.append(argv) or states.subprocess.CompletedProcess(argv, 0),
    )
    states.overlay(tmp_path / "base-1" / "disk.qcow2", tmp_path / "docker-2")
    assert "../base-1/disk.qcow2" in commands[0]
