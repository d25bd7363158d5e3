"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from labwright.errors import SetupError
from labwright.host.files import append_text, write_bytes, write_text


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a" / "b" / "c.txt", "words \ud800")
    assert path.read_text() == "words \\ud800"
    assert [each.name for each in path.parent.iterdir()] == ["c.txt"]


def test_a_link_is_kept_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_who_may_read_a_file_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "private").touch(0o600)
    write_text(tmp_path / "private", "new")
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_the_old_file_stays_where_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_text(tmp_path / "file", "old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match=r"cannot write .*file: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [write_text, append_text])
def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, write) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below", tmp_path, tmp_path / "nul\0"):
        with pytest.raises(SetupError, match="cannot write"):
            write(place, "words")


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(tmp_path / "pipe", b"words")
        assert os.read(reader, 10) == b"words"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
