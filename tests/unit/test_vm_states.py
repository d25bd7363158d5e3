"""A state stands on the very things it was made on, and is not used when they are damaged."""

from __future__ import annotations

from dataclasses import replace
from subprocess import CompletedProcess

import pytest

from labwright.errors import SetupError
from labwright.lab.definition import load_lab
from labwright.lab.model import Lab, find_lab
from labwright.machines import image_context
from labwright.vm import accelerator, images, lab_states, qemu, states, store
from labwright.vm.images import Component
from labwright.vm.states import State
from labwright.vm.systems import DEFAULT, SYSTEMS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LABWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "NEEDED_BYTES", 0)
    # Which QEMU this computer has is not what is tested.
    monkeypatch.setattr(accelerator, "QEMU", "true")
    return store.root()


def made(name, data=b"x" * 100):
    return store.ensure(name, lambda folder: (folder / "disk").write_bytes(data) and None)


def state(name, parent=None, key="key"):
    return State(name, DEFAULT, parent, key, lambda machine: None, 1)


def lab(name: str) -> Lab:
    return load_lab(find_lab(name))


def test_a_state_comes_after_all_that_it_stands_on():
    found = states.ancestry(lab_states.states(lab("gorb"))["deployed"])
    assert [each.name for each in found] == ["base", "docker", "servers", "deployed"]


def test_a_lab_without_images_begins_with_what_all_labs_share():
    plain = replace(lab("gorb"), images=())
    assert lab_states.states(plain)["docker"] is states.base(DEFAULT)


def test_the_states_of_labs_are_the_same_only_where_they_are_made_of_the_same():
    parent, gorb = made("thing"), lab("gorb")
    other = replace(gorb, name="other")
    changed = replace(gorb, prelude="IP_ADDR=192.0.2.1")

    def names(of: Lab) -> list[str]:
        return [states.folder_name(s, parent, "tcg") for s in lab_states.states(of).values()]

    assert names(other) == names(gorb)
    assert names(changed)[0] == names(gorb)[0]
    assert not set(names(changed)[1:]) & set(names(gorb))


def test_the_same_parts_made_anew_are_another_parent_to_a_state():
    before = states.folder_name(state("servers", states.base(DEFAULT)), made("thing"), "tcg")
    store.remove(store.root() / "thing")
    assert (
        states.folder_name(state("servers", states.base(DEFAULT)), made("thing"), "tcg") != before
    )


def test_another_accelerator_or_preparation_is_another_state():
    parent = made("thing")
    names = {
        states.folder_name(state("servers", states.base(DEFAULT), key), parent, accelerator)
        for key in ("one", "other")
        for accelerator in ("tcg", "kvm")
    }
    assert len(names) == 4


def test_the_states_of_a_system_are_its_own():
    parent, gorb = made("thing"), lab("gorb")
    names = [
        states.folder_name(state, parent, "tcg")
        for system in SYSTEMS.values()
        for state in lab_states.states(gorb, system).values()
    ]
    assert len(set(names)) == len(names)
    for system in SYSTEMS:
        assert sum(name.startswith(f"{system}-") for name in names) == len(names) / len(SYSTEMS)


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
    assert store.checksum_of(sparse) == store.checksum_of(dense)
    dense.write_bytes(bytes(2 * store.BLOCK) + b"end" + bytes(store.BLOCK))
    assert store.checksum_of(sparse) != store.checksum_of(dense)


def test_a_path_with_a_comma_stays_one_value_among_qemus_options(tmp_path):
    odd = tmp_path / "a,b"
    launch = qemu.Launch(odd, odd, "tcg", odd / "memory", False, None, True)
    (option,) = (part for part in qemu.command_line(launch) if "mem-path" in part)
    assert f"mem-path={tmp_path}/a,,b/memory,share=off" in option


def test_an_image_holds_nothing_of_the_grader():
    for image in lab("gorb").images:
        component = Component(image.name, image.folder, image.package)
        names = [name for name, _ in image_context.sources(component)]
        assert "Dockerfile" in names
        modules = {name for name in names if name.startswith("site-packages/")}
        own = f"site-packages/{image.package.replace('.', '/')}/"
        above = {
            "site-packages/labwright/__init__.py",
            "site-packages/labwright/components/__init__.py",
        }
        assert {name for name in modules if not name.startswith(own)} == above


def test_the_key_of_the_images_changes_with_what_is_in_their_folders(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    made_of = [Component("a", tmp_path)]
    before = images.key(made_of)
    assert images.key(made_of) == before
    (tmp_path / "Dockerfile").write_text("FROM other")
    assert images.key(made_of) != before


@pytest.mark.parametrize("lacks", [{"package": "no_such"}, {"dependencies": ("no-such-dist",)}])
def test_what_an_image_lacks_on_this_computer_is_one_sentence(tmp_path, lacks):
    with pytest.raises(SetupError, match=r"needs the Python package no.such.*: install it"):
        images.key([Component("a", tmp_path, **lacks)])


def test_the_disk_of_a_state_names_the_one_below_it_relatively(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(
        states.programs,
        "run",
        lambda argv, *_, **__: commands.append(argv) or CompletedProcess(argv, 0),
    )
    states.overlay(tmp_path / "base-1" / "disk.qcow2", tmp_path / "docker-2")
    assert "../base-1/disk.qcow2" in commands[0]
