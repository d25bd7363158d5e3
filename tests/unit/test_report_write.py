"""Reports are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from labwright.errors import SetupError
from labwright.outcome import Evidence
from labwright.reports.write import write, write_json
from labwright.score import Score

from . import samples


def test_three_files_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    written = write(samples.all_passed(), folder)
    assert [path.name for path in written] == ["score.json", "report.html", "junit.xml"]
    assert sorted(folder.iterdir()) == sorted(written)


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    write(samples.all_passed(), tmp_path)
    write(samples.server2_stopped(), tmp_path)
    assert Score.from_json((tmp_path / "score.json").read_text()).points == 55
    assert len(list(tmp_path.iterdir())) == 3


def test_others_may_read_what_they_may_by_the_users_own_settings(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    written = write_json(samples.all_passed(), tmp_path / "score.json")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (written, tmp_path / "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("kind", samples.EVERY_KIND)
def test_every_score_is_written_as_json_that_any_reader_reads(kind: str, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    write(samples.EVERY_KIND[kind](), tmp_path)
    text = (tmp_path / "score.json").read_bytes().decode("utf-8")
    json.loads(text, parse_constant=refuse)


def test_half_a_surrogate_pair_is_spelled_out_since_some_readers_refuse_it(
    tmp_path: Path,
) -> None:
    piece = Evidence("a claim", data={"half \ud800": ["\udc00"]})
    score = samples.changed(samples.all_passed(), "server1-running", evidence=(piece,))
    path = write_json(score, tmp_path / "score.json")
    found = Score.from_json(path.read_text(encoding="utf-8")).steps[0].evidence[0]
    assert found.data == {"half \\ud800": ["\\udc00"]}
    assert "\\ud800" not in path.read_text(encoding="utf-8").replace("\\\\", "")


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(SetupError, match=r"cannot write .*taken/score\.json: "):
        write(samples.all_passed(), tmp_path / "taken")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(samples.all_passed(), tmp_path / "score.json")
    before = (tmp_path / "score.json").read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SetupError, match="No space left on device; free some space"):
        write_json(samples.server2_stopped(), tmp_path / "score.json")
    assert [path.name for path in tmp_path.iterdir()] == ["score.json"]
    assert (tmp_path / "score.json").read_bytes() == before


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("real.json")
    written = write_json(samples.all_passed(), tmp_path / "link.json")
    assert written.is_symlink()
    assert Score.from_json((tmp_path / "real.json").read_text()) == samples.all_passed()


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        write_json(samples.nothing(), pipe)
        assert pipe.is_fifo()
        assert Score.from_json(os.read(reader, 1 << 16).decode()) == samples.nothing()
    finally:
        os.close(reader)
