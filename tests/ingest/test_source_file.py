import gzip
import io
import json
import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import structlog

import ingest.known
import ingest.sources.file
import ingest.tail
import samlog.log
from ingest.content import read_pieces
from samlog.event import H_FULL_LENGTH, H_FULL_SHA256, H_ORIGIN

EVTX = Path(__file__).parents[2] / "../shared/data/sigmahq-regression"


def lines(start: int, end: int) -> list[bytes]:
    return [b"line %d of a log that is long enough to be told apart" % n for n in range(start, end)]


def write(path: Path, these: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in these))


def append(path: Path, these: list[bytes]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in these))


def origins(bench: Any, path: Path, **keys: Any) -> list[bytes]:
    source = bench.open("file", paths=[str(path)], follow=False, **keys)
    return [one.headers[H_ORIGIN] for one in bench.captured(source)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def said() -> Iterator[io.TextIOWrapper]:
    """What the log says, as the service writes it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    samlog.log.set_up(stream=stream)
    yield stream
    structlog.reset_defaults()


def test_a_followed_file_gives_what_is_appended(bench: Any, log: Path) -> None:
    write(log, lines(0, 3))
    source = bench.open("file", paths=[str(log)])
    assert bench.values(source) == lines(0, 3)

    append(log, lines(3, 5))

    assert bench.values(source) == lines(3, 5)
    assert not source.finished


def test_a_line_waits_for_its_end(bench: Any, log: Path) -> None:
    log.write_bytes(b"whole\nha")
    source = bench.open("file", paths=[str(log)])
    assert bench.values(source) == [b"whole"]

    with log.open("ab") as file:
        file.write(b"lf\n")

    assert bench.values(source) == [b"half"]


def test_a_file_that_is_read_once_gives_its_last_line_without_a_line_end(
    bench: Any, log: Path
) -> None:
    log.write_bytes(b"one\r\ntwo")
    source = bench.open("file", paths=[str(log)], follow=False)

    assert bench.values(source) == [b"one", b"two"]
    assert source.finished


def test_the_last_line_without_a_line_end_is_not_given_again(bench: Any, log: Path) -> None:
    log.write_bytes(b"one\ntwo")
    bench.values(bench.open("file", paths=[str(log)], follow=False))
    bench.restart()

    assert bench.values(bench.open("file", paths=[str(log)], follow=False)) == []


def test_what_is_said_of_a_file_whose_name_is_not_utf8_can_be_written(
    bench: Any, tmp_path: Path, said: io.TextIOWrapper
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.log.gz")
    path.write_bytes(gzip.compress(b"a line\n" * 9)[:-8])

    bench.values(bench.open("file", paths=[str(path)], follow=False))

    said.seek(0)
    assert "caf\\udce9.log.gz" in json.loads(said.read())["samlog.path"]


def test_an_empty_file_is_fine(bench: Any, log: Path) -> None:
    log.touch()

    source = bench.open("file", paths=[str(log)], follow=False)

    assert bench.values(source) == []
    assert source.finished


def test_bytes_that_are_no_text_pass_as_they_are(bench: Any, log: Path) -> None:
    log.write_bytes(b"\x00\x01\xff\n\x80\x00\n")

    source = bench.open("file", paths=[str(log)], follow=False)

    assert bench.values(source) == [b"\x00\x01\xff", b"\x80\x00"]


def test_a_pattern_that_names_nothing_yet_is_looked_at_again(bench: Any, tmp_path: Path) -> None:
    source = bench.open("file", paths=[str(tmp_path / "*.log")])
    assert bench.values(source) == []

    write(tmp_path / "new.log", lines(0, 2))

    assert bench.values(source) == lines(0, 2)


def test_a_file_that_may_not_be_read_does_not_stop_the_others(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", lines(0, 1))
    write(tmp_path / "b.log", lines(1, 2))
    (tmp_path / "c.log").symlink_to(tmp_path / "nowhere")
    real = ingest.tail.open_content

    def refuse(path: Path) -> Any:
        # Root may read every file, so that taking the permission away proves nothing.
        if path.name == "a.log":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(ingest.tail, "open_content", refuse)
    source = bench.open("file", paths=[str(tmp_path / "*.log")], follow=False)

    assert bench.values(source) == lines(1, 2)


def test_a_file_whose_disk_fails_is_read_on_later_and_does_not_stop_the_others(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", lines(0, 1))
    write(tmp_path / "b.log", lines(1, 2))
    real = ingest.tail.Tail.pull
    failures = iter([OSError(5, "Input/output error")])

    def fail_once(tail: ingest.tail.Tail) -> Any:
        error = next(failures, None) if tail.path.name == "a.log" else None
        if error:
            raise error
        return real(tail)

    monkeypatch.setattr(ingest.tail.Tail, "pull", fail_once)
    source = bench.open("file", paths=[str(tmp_path / "*.log")])

    assert bench.values(source) == lines(1, 2)
    assert bench.values(source) == lines(0, 1)
    assert bench.counted["file_not_readable"] == 1


def fails_once(monkeypatch: pytest.MonkeyPatch, step: str, **only: Any) -> None:
    """Makes one call of `Tail` on ``a.log`` fail as a share does that went away."""
    real = getattr(ingest.tail.Tail, step)
    failures = iter([OSError(116, "Stale file handle")])

    def fail(tail: ingest.tail.Tail, *args: Any, **keys: Any) -> Any:
        error = next(failures, None) if tail.path.name == "a.log" and keys == only else None
        if error:
            raise error
        return real(tail, *args, **keys)

    monkeypatch.setattr(ingest.tail.Tail, step, fail)


def test_a_file_whose_disk_fails_where_it_was_left_does_not_stop_the_others(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", lines(0, 2))
    bench.values(bench.open("file", paths=[str(tmp_path / "*.log")]))
    bench.restart()
    append(tmp_path / "a.log", lines(2, 4))
    write(tmp_path / "b.log", lines(10, 12))
    fails_once(monkeypatch, "continues")

    source = bench.open("file", paths=[str(tmp_path / "*.log")])
    found = bench.values(source) + bench.values(source)

    assert sorted(found) == sorted(lines(2, 4) + lines(10, 12))
    assert bench.counted["file_not_readable"] == 1


def test_a_file_whose_disk_fails_at_its_end_does_not_stop_the_others(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", lines(0, 2))
    write(tmp_path / "b.log", lines(10, 12))
    fails_once(monkeypatch, "mark", at_end=True)

    source = bench.open("file", paths=[str(tmp_path / "*.log")], follow=False)

    assert sorted(bench.values(source)) == sorted(lines(0, 2) + lines(10, 12))
    assert bench.counted["file_not_readable"] == 1


def test_a_disk_that_goes_on_failing_is_said_once_an_hour_and_counted_each_time(
    bench: Any, log: Path, monkeypatch: pytest.MonkeyPatch, said: io.TextIOWrapper
) -> None:
    def fail(tail: ingest.tail.Tail) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ingest.tail.Tail, "pull", fail)
    write(log, lines(0, 1))
    source = bench.open("file", paths=[str(log)])

    for _ in range(10):
        bench.values(source)
        bench.clock.advance(600)

    said.seek(0)
    assert said.read().count("file_not_readable") == 2
    assert bench.counted["file_not_readable"] == 10


def test_positions_of_files_that_are_gone_are_forgotten_when_there_are_many(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.known, "MAX_ROWS", 3)
    for number in range(6):
        write(tmp_path / f"{number}.log", lines(number * 100, number * 100 + 5))
    bench.values(bench.open("file", paths=[str(tmp_path / "*.log")], follow=False))
    bench.restart()
    for number in (0, 1, 5):
        (tmp_path / f"{number}.log").unlink()

    source = bench.open("file", paths=[str(tmp_path / "*.log")], follow=False)

    assert bench.values(source) == []
    assert len(bench.checkpoints.files("a\x1f")) == 4


def test_a_command_reads_a_file_without_positions_or_bus(tmp_path: Path) -> None:
    packed = tmp_path / "x.json.gz"
    packed.write_bytes(gzip.compress(b'[\n{"a":\n1},\n{"b": 2}]'))

    assert [piece.value for piece in read_pieces(packed, 100)] == [b'{"a":\n1}', b'{"b": 2}']


def test_what_is_no_regular_file_is_left_alone(bench: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.log")
    (tmp_path / "folder.log").mkdir()
    write(tmp_path / "real.log", lines(0, 1))

    source = bench.open("file", paths=[str(tmp_path / "*.log")], follow=False)

    assert bench.values(source) == lines(0, 1)


def test_a_line_over_the_limit_is_cut_with_length_and_hash(bench: Any, log: Path) -> None:
    big = b"x" * 20_000_000
    log.write_bytes(big + b"\nsmall\n")
    source = bench.open("file", paths=[str(log)], follow=False)

    first, second = bench.captured(source)

    assert len(first.value) == 1 << 20
    assert first.headers[H_FULL_LENGTH] == b"20000000"
    assert first.headers[H_FULL_SHA256] == sha256(big).hexdigest().encode()
    assert second.value == b"small"


def test_a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning(
    bench: Any, log: Path
) -> None:
    write(log, lines(0, 3))
    source = bench.open("file", paths=[str(log)])
    bench.values(source)

    append(log, lines(3, 4))
    log.rename(log.with_name("app.log.1"))
    write(log, lines(10, 12))

    assert sorted(bench.values(source)) == sorted(lines(3, 4) + lines(10, 12))


def test_what_is_still_written_to_a_renamed_file_is_read(bench: Any, log: Path) -> None:
    write(log, lines(0, 3))
    source = bench.open("file", paths=[str(log)])
    bench.values(source)
    old = log.rename(log.with_name("app.log.1"))
    write(log, lines(10, 11))
    bench.values(source)

    append(old, lines(3, 4))

    assert bench.values(source) == lines(3, 4)


def test_the_unfinished_last_line_of_a_renamed_file_is_given_in_the_end(
    bench: Any, log: Path
) -> None:
    log.write_bytes(b"one\nunfinished")
    source = bench.open("file", paths=[str(log)], rotate_wait_s=3)
    assert bench.values(source) == [b"one"]
    log.rename(log.with_name("app.log.1"))

    found = [value for _ in range(6) for value in bench.values(source)]

    assert found == [b"unfinished"]


def test_a_renamed_file_that_the_pattern_names_too_is_not_read_again(bench: Any, log: Path) -> None:
    write(log, lines(0, 3))
    source = bench.open("file", paths=[f"{log}*"])
    bench.values(source)

    log.rename(log.with_name("app.log.1"))
    write(log, lines(10, 12))

    assert bench.values(source) == lines(10, 12)


def test_a_file_rotated_while_nobody_looked_is_found_and_read_to_its_end(
    bench: Any, log: Path
) -> None:
    write(log, lines(0, 3))
    bench.values(bench.open("file", paths=[str(log)]))
    bench.restart()
    append(log, lines(3, 5))
    log.rename(log.with_name("app.log.1"))
    write(log, lines(10, 12))

    found = bench.values(bench.open("file", paths=[str(log)]))

    assert sorted(found) == sorted(lines(3, 5) + lines(10, 12))


def test_a_file_rotated_and_compressed_while_nobody_looked_is_found(bench: Any, log: Path) -> None:
    write(log, lines(0, 30))
    bench.values(bench.open("file", paths=[str(log)]))
    bench.restart()
    append(log, lines(30, 35))
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    write(log, lines(90, 91))

    found = bench.values(bench.open("file", paths=[str(log)]))

    assert sorted(found) == sorted(lines(30, 35) + lines(90, 91))


def rotated_unseen(bench: Any, log: Path, end: int = 5) -> None:
    """Leaves lines from 3 to ``end`` in a rotated file that no collector has seen."""
    write(log, lines(0, 3))
    bench.values(bench.open("file", paths=[str(log.with_name("*.log"))]))
    bench.restart()
    append(log, lines(3, end))
    log.rename(log.with_name("app.log.1"))


def test_a_pattern_finds_what_was_rotated_unseen_before_there_is_a_new_file(
    bench: Any, log: Path
) -> None:
    rotated_unseen(bench, log)

    assert bench.values(bench.open("file", paths=[str(log.with_name("*.log"))])) == lines(3, 5)


def test_what_was_rotated_unseen_below_a_folder_that_came_late_is_found(
    bench: Any, log: Path
) -> None:
    rotated_unseen(bench, log)
    rotated = log.with_name("app.log.1").rename(log.with_name("elsewhere"))
    source = bench.open("file", paths=[str(log)])
    assert bench.values(source) == []

    rotated.rename(log.with_name("app.log.1"))
    write(log, lines(10, 11))
    bench.clock.advance(ingest.sources.file.RESCUE_S)

    assert sorted(bench.values(source)) == sorted(lines(3, 5) + lines(10, 11))


def test_a_rotated_file_that_cannot_be_read_at_first_is_read_later(
    bench: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated_unseen(bench, log)
    write(log, lines(10, 11))
    real = ingest.tail.open_content
    failing = True

    def refuse(path: Path) -> Any:
        if failing and path.name == "app.log.1":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(ingest.tail, "open_content", refuse)
    source = bench.open("file", paths=[str(log)])
    assert bench.values(source) == lines(10, 11)

    failing = False
    bench.clock.advance(ingest.sources.file.RESCUE_S)

    assert bench.values(source) == lines(3, 5)


def test_what_was_rotated_unseen_is_read_on_after_a_stop_in_the_middle_of_it(
    bench: Any, log: Path
) -> None:
    rotated_unseen(bench, log, end=9_000)
    write(log, lines(0, 1))
    source = bench.open("file", paths=[str(log)])
    bench.clock.advance(1)
    found = [one.value for _ in range(2) for one in source.read(1, 1)]
    bench.acknowledge(source)
    bench.restart()

    found += bench.values(bench.open("file", paths=[str(log)]))

    assert set(found) == set(lines(0, 1) + lines(3, 9_000))


def test_a_rotated_copy_is_read_once_over_many_restarts(bench: Any, log: Path) -> None:
    rotated_unseen(bench, log)
    log.with_name("app.log.1.gz").write_bytes(
        gzip.compress(log.with_name("app.log.1").read_bytes())
    )
    log.with_name("app.log.1").unlink()
    write(log, lines(10, 11))

    found = []
    for _ in range(3):
        found += bench.values(bench.open("file", paths=[str(log)]))
        bench.restart()

    assert sorted(found) == sorted(lines(3, 5) + lines(10, 11))


def test_copytruncate_loses_nothing_that_the_copy_has(bench: Any, log: Path) -> None:
    write(log, lines(0, 30))
    source = bench.open("file", paths=[str(log)])
    bench.values(source)
    append(log, lines(30, 35))

    shutil.copy(log, log.with_name("app.log.1"))
    write(log, lines(90, 91))

    assert sorted(bench.values(source)) == sorted(lines(30, 35) + lines(90, 91))


def test_copytruncate_is_seen_when_the_file_has_grown_beyond_its_old_size(
    bench: Any, log: Path
) -> None:
    write(log, lines(0, 3))
    source = bench.open("file", paths=[str(log)])
    bench.values(source)

    write(log, lines(50, 90))

    assert bench.values(source) == lines(50, 90)


def test_copytruncate_is_seen_when_only_what_follows_a_common_head_differs(
    bench: Any, log: Path
) -> None:
    head = [b"# the same long head of every file of this program " * 30]
    write(log, head + lines(0, 3))
    source = bench.open("file", paths=[str(log)])
    bench.values(source)

    write(log, head + lines(50, 90))

    assert bench.values(source) == head + lines(50, 90)


def test_copytruncate_while_nobody_looked_loses_nothing(bench: Any, log: Path) -> None:
    write(log, lines(0, 30))
    bench.values(bench.open("file", paths=[str(log)]))
    bench.restart()
    append(log, lines(30, 35))
    shutil.copy(log, log.with_name("app.log.1"))
    write(log, lines(90, 91))

    found = bench.values(bench.open("file", paths=[str(log)]))

    assert sorted(found) == sorted(lines(30, 35) + lines(90, 91))


def test_the_copy_is_not_read_again_when_the_pattern_names_it(bench: Any, log: Path) -> None:
    write(log, lines(0, 30))
    source = bench.open("file", paths=[f"{log}*"])
    bench.values(source)

    shutil.copy(log, log.with_name("app.log.1"))
    log.write_bytes(b"")
    assert bench.values(source) == []
    write(log, lines(90, 91))

    assert bench.values(source) == lines(90, 91)


def test_a_deleted_file_is_let_go(bench: Any, log: Path) -> None:
    write(log, lines(0, 2))
    source = bench.open("file", paths=[str(log)], rotate_wait_s=0)
    bench.values(source)

    log.unlink()
    bench.values(source)

    assert source._tails == {}


def test_a_file_that_is_quiet_gives_its_handle_back_and_is_read_on_when_it_grows(
    bench: Any, log: Path
) -> None:
    log.write_bytes(b"one\nhal")
    source = bench.open("file", paths=[str(log)])
    bench.values(source)
    bench.clock.advance(120)
    bench.values(source)
    bench.clock.advance(120)
    bench.values(source)
    assert [tail.asleep for tail in source._tails.values()] == [True]

    with log.open("ab") as file:
        file.write(b"f\n")

    assert bench.values(source) == [b"half"]


def test_a_quiet_file_that_is_rotated_is_still_read_to_its_end(bench: Any, log: Path) -> None:
    write(log, lines(0, 30))
    source = bench.open("file", paths=[str(log)])
    for _ in range(3):
        bench.values(source)
        bench.clock.advance(120)

    append(log, lines(30, 32))
    log.rename(log.with_name("app.log.1"))
    write(log, lines(90, 91))

    found = bench.values(source) + bench.values(source)
    assert sorted(found) == sorted(lines(30, 32) + lines(90, 91))


def test_the_same_content_has_the_same_origins_under_any_name_and_compressed(
    bench: Any, log: Path, tmp_path: Path
) -> None:
    write(log, lines(0, 100))
    copy = tmp_path / "elsewhere.txt"
    shutil.copy(log, copy)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    expected = origins(bench, log)

    for other in (copy, packed):
        bench.forget()
        assert origins(bench, other) == expected

    assert len(set(expected)) == 100


def test_origins_do_not_depend_on_how_far_the_file_had_grown(bench: Any, log: Path) -> None:
    log.touch()
    source = bench.open("file", paths=[str(log)])
    grown = []
    for number in range(60):
        append(log, lines(number, number + 1))
        grown += [one.headers[H_ORIGIN] for one in bench.captured(source)]
    bench.forget()

    assert origins(bench, log) == grown


def test_a_copy_of_what_was_read_is_not_read_again(bench: Any, log: Path, tmp_path: Path) -> None:
    write(log, lines(0, 100))
    bench.values(bench.open("file", paths=[str(log)], follow=False))
    bench.restart()
    copy = tmp_path / "copy.log"
    shutil.copy(log, copy)
    append(copy, lines(100, 102))

    assert bench.values(bench.open("file", paths=[str(copy)], follow=False)) == lines(100, 102)


def test_two_files_that_begin_alike_are_both_read_whole(bench: Any, tmp_path: Path) -> None:
    head = [b"# the same long head of every file of this program " * 30]
    write(tmp_path / "a.log", head + lines(0, 50))
    write(tmp_path / "b.log", head + lines(100, 160))
    bench.values(bench.open("file", paths=[str(tmp_path / "a.log")], follow=False))
    bench.restart()

    found = bench.values(bench.open("file", paths=[str(tmp_path / "b.log")], follow=False))

    assert found == head + lines(100, 160)


def test_equal_logs_of_two_configured_hosts_are_two(bench: Any, tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        write(tmp_path / name, lines(0, 3))

    first = origins(bench, tmp_path / "a.log", host="web1")
    second = origins(bench, tmp_path / "b.log", host="web2")

    assert len(second) == 3
    assert not set(first) & set(second)


def test_two_links_to_one_file_are_one(bench: Any, log: Path) -> None:
    write(log, lines(0, 2))
    log.with_name("app2.log").symlink_to(log)
    os.link(log, log.with_name("app3.log"))

    source = bench.open("file", paths=[str(log.with_name("*.log"))], follow=False)

    assert bench.values(source) == lines(0, 2)


def test_gzip_with_several_members_and_padding_is_read_whole(bench: Any, log: Path) -> None:
    parts = [gzip.compress(line + b"\n") for line in lines(0, 3)]
    log.write_bytes(b"".join(parts) + b"\0" * 700)

    source = bench.open("file", paths=[str(log)], follow=False)

    assert bench.values(source) == lines(0, 3)
    assert not bench.counted


def test_a_cut_gzip_gives_what_can_be_read_and_the_rest_when_it_is_complete(
    bench: Any, log: Path
) -> None:
    content = lines(0, 2000)
    packed = gzip.compress(b"".join(line + b"\n" for line in content))
    log.write_bytes(packed[: len(packed) // 2])
    source = bench.open("file", paths=[str(log)])
    bench.values(source)
    first = bench.values(source)
    assert bench.counted["truncated_gzip"] == 1
    assert 100 < len(first) < 2000

    log.write_bytes(packed)
    bench.values(source)
    rest = bench.values(source)

    assert first[:-1] + rest == content
    assert content[len(first) - 1].startswith(first[-1])


def test_damaged_gzip_gives_what_comes_before_the_damage(bench: Any, log: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(300_000).hex().encode() + b"\nlast\n"))
    packed[len(packed) // 2 :] = b"\xff" * 100
    log.write_bytes(b"".join([gzip.compress(b"first\n"), packed]))
    source = bench.open("file", paths=[str(log)], follow=False)

    values = bench.values(source)

    assert values[0] == b"first"
    assert bench.counted["damaged_gzip"] + bench.counted["truncated_gzip"] == 1
    assert source.finished


def test_a_gzip_bomb_is_cut_like_any_long_line(bench: Any, log: Path) -> None:
    log.write_bytes(gzip.compress(b"\0" * 50_000_000))
    source = bench.open("file", paths=[str(log)], follow=False)

    [only] = bench.captured(source)

    assert only.headers[H_FULL_LENGTH] == b"50000000"
    assert len(only.value) == 1 << 20


def test_gzip_is_not_read_while_it_is_being_copied(bench: Any, log: Path) -> None:
    packed = gzip.compress(b"\n".join(lines(0, 100)))
    source = bench.open("file", paths=[str(log)])
    log.write_bytes(packed[:50])
    assert bench.values(source) == []
    log.write_bytes(packed)
    assert bench.values(source) == []

    assert bench.values(source) == lines(0, 100)
    assert not bench.counted


def test_gzip_is_not_read_until_it_was_the_same_for_a_second(bench: Any, log: Path) -> None:
    log.write_bytes(gzip.compress(b"\n".join(lines(0, 3))))
    source = bench.open("file", paths=[str(log)])

    found = []
    for _ in range(3):
        found += source.read(1000, 1 << 20)
        bench.clock.advance(0.4)

    assert found == []
    assert [one.value for one in source.read(1000, 1 << 20)] == lines(0, 3)


def test_looking_for_files_takes_a_twentieth_of_the_time_at_most(
    bench: Any, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bench.open("file", paths=[str(log)])
    looks = []

    def slow(*_: Any) -> dict[Any, Path]:
        looks.append(bench.clock.monotonic_s())
        bench.clock.advance(0.5)
        return {}

    monkeypatch.setattr(ingest.sources.file, "regular_files", slow)
    for _ in range(100):
        source.read(1000, 1 << 20)
        bench.clock.advance(0.25)

    assert 2 < len(looks) <= 4


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("array", [False, True])
def test_a_json_file_gives_one_event_an_object(
    bench: Any, tmp_path: Path, indent: int | None, array: bool
) -> None:
    values = [{"n": number, "nested": {"a": ["}", {}]}} for number in range(3)]
    texts = [json.dumps(value, indent=indent) for value in values]
    text = json.dumps(values, indent=indent) if array else "\n".join(texts)
    (tmp_path / "x.json").write_text(text)

    found = bench.values(bench.open("file", paths=[str(tmp_path / "x.json")], follow=False))

    assert [json.loads(one) for one in found] == values


def test_json_that_breaks_off_is_given_as_it_is(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{\n"a": 1\n}\n{\n"b": ')

    found = bench.values(bench.open("file", paths=[str(tmp_path / "x.json")], follow=False))

    assert found == [b'{\n"a": 1\n}', b'{\n"b": ']


def evtx_files() -> list[Path]:
    found = sorted(EVTX.rglob("*.evtx"))
    if not found:
        pytest.skip("../shared/data is absent: there are no EVTX files to read")
    return found


def joined_evtx(path: Path, count: int) -> Path:
    """Makes one log of several: chunks stand for themselves."""
    files = evtx_files()[:count]
    path.write_bytes(files[0].read_bytes()[:4096] + b"".join(f.read_bytes()[4096:] for f in files))
    return path


def test_evtx_gives_one_event_a_record_whose_origin_windows_numbered(
    bench: Any, tmp_path: Path
) -> None:
    path = joined_evtx(tmp_path / "Security.evtx", 5)

    found = bench.captured(bench.open("file", paths=[str(path)], follow=False))

    assert len(found) >= 5
    for one in found:
        computer, channel, number = one.headers[H_ORIGIN].split(b"|")
        assert b"<EventRecordID>%b</EventRecordID>" % number in one.value
        assert computer in one.value
        assert channel in one.value


def test_a_damaged_evtx_chunk_costs_only_itself(bench: Any, tmp_path: Path) -> None:
    path = joined_evtx(tmp_path / "x.evtx", 4)
    whole = bench.values(bench.open("file", paths=[str(path)], follow=False))
    data = bytearray(path.read_bytes())
    data[4096 + 65536 + 200 : 4096 + 65536 + 3000] = b"\xff" * 2800
    bench.forget()
    (tmp_path / "damaged.evtx").write_bytes(data)

    found = bench.values(bench.open("file", paths=[str(tmp_path / "damaged.evtx")], follow=False))

    assert 0 < len(found) < len(whole)
    assert set(found) < set(whole)
    assert bench.counted["damaged_evtx"] >= 1


@pytest.mark.parametrize("size", [10, 4096, 4100, 5000, 4096 + 65536, 4096 + 65536 + 1000])
def test_a_cut_evtx_file_gives_what_can_be_read(bench: Any, tmp_path: Path, size: int) -> None:
    path = joined_evtx(tmp_path / "x.evtx", 3)
    whole = bench.values(bench.open("file", paths=[str(path)], follow=False))
    (tmp_path / "cut.evtx").write_bytes(path.read_bytes()[:size])

    source = bench.open("file", paths=[str(tmp_path / "cut.evtx")], follow=False)
    found = bench.values(source)

    assert set(found) <= set(whole)
    assert bool(found) == (size >= 4096 + 65536)
    assert bench.counted["truncated_evtx"] == (size not in (4096, 4096 + 65536))
    assert source.finished


def test_every_evtx_file_is_read_though_their_headers_are_alike(bench: Any) -> None:
    files = evtx_files()

    source = bench.open("file", paths=[str(path) for path in files], follow=False)

    found = bench.captured(source)
    assert len(found) >= len(files)
    assert len({one.headers[H_ORIGIN] for one in found}) > len(files) * 0.9


def test_evtx_that_is_replaced_by_a_longer_one_gives_what_is_new(
    bench: Any, tmp_path: Path
) -> None:
    path = joined_evtx(tmp_path / "x.evtx", 2)
    source = bench.open("file", paths=[str(path)])
    bench.values(source)
    first = bench.values(source)
    joined_evtx(path, 4)
    bench.values(source)

    rest = bench.values(source)

    assert len(first) >= 2
    assert len(rest) >= 2
    assert not set(first) & set(rest)
