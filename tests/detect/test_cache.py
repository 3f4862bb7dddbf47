"""Compiled rules kept by content: the same answers, and no harm from a damaged file."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from detect import build, cache, rule
from detect.engine import Engine

Load = Callable[..., Engine]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list that gets a member for each document that is parsed."""
    calls: list[int] = []
    real = rule.parse_document

    def counted(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(rule, "parse_document", counted)
    return calls


RICH = {
    "a": {"A|contains": ["x", "y"], "B|re": "q+", "C|cidr": "10.0.0.0/8"},
    "b": {"A": 1, "B": True, "C": None, "D": "p*q?r"},
    "kw": ["needle"],
    "condition": "a or b or kw",
}
EVENTS = [
    {"A": "axe", "B": "qq", "C": "10.1.1.1"},
    {"A": 1, "B": "true", "D": "pxxqyr"},
    {"Z": "a needle"},
    {"A": True},
]


def test_a_second_load_parses_nothing_and_answers_alike(
    load: Load, rule: Any, kept: Path, parsed: list[int]
) -> None:
    first = load(rule(RICH), "not a rule", cache_dir=kept)
    count = len(parsed)
    second = load(rule(RICH), "not a rule", cache_dir=kept)

    assert len(parsed) == count
    assert second.rules == first.rules
    assert [str(e) for e in second.report.refused] == [str(e) for e in first.report.refused]
    for event in EVENTS:
        assert second.match(event) == first.match(event)


@pytest.mark.parametrize("change", ["content", "mode", "placeholders", "name"])
def test_whatever_changes_the_result_is_compiled_anew(
    load: Load, rule: Any, kept: Path, parsed: list[int], change: str, tmp_path: Path
) -> None:
    load(rule(RICH), cache_dir=kept)
    count = len(parsed)

    detection = {**RICH, "kw": ["other"]} if change == "content" else RICH
    options: dict[str, Any] = {"mode": "ecs"} if change == "mode" else {}
    if change == "placeholders":
        options["placeholders"] = {"a": ["b"]}
    if change == "name":
        (tmp_path / "rule0.yml").rename(tmp_path / "renamed.yml")
        Engine.load([tmp_path], mode="raw", cache_dir=kept)
    else:
        load(rule(detection), cache_dir=kept, **options)

    assert len(parsed) == count + 1


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 5_000, "cut", "flipped"])
def test_a_damaged_cache_is_built_anew(
    load: Load, rule: Any, kept: Path, parsed: list[int], damage: bytes | str
) -> None:
    load(rule(RICH), cache_dir=kept)
    (path,) = kept.iterdir()
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "flipped":
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    else:
        path.write_bytes(damage)  # type: ignore[arg-type]
    count = len(parsed)

    engine = load(rule(RICH), cache_dir=kept)

    assert len(parsed) == count + 1
    assert engine.match(EVENTS[0])
    assert path.read_bytes() == data


def test_a_directory_that_cannot_be_written_costs_time_only(
    load: Load, rule: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    engine = load(rule(RICH), cache_dir=tmp_path / "file" / "cache")

    assert engine.match(EVENTS[0])
    assert "file" in engine.report.cache_problem


def test_old_rule_sets_are_removed(load: Load, rule: Any, kept: Path) -> None:
    for i in range(cache.KEPT + 3):
        load(rule({"selection": {"A": str(i)}}), cache_dir=kept)

    assert len(list(kept.iterdir())) == cache.KEPT


def test_a_file_that_appears_unreadable_later_is_still_named(
    load: Load, rule: Any, kept: Path, tmp_path: Path
) -> None:
    load(rule(RICH), cache_dir=kept)
    (tmp_path / "big.yml").write_bytes(b"#" * 2_000_000)

    report = load(rule(RICH), cache_dir=kept).report

    assert report.reasons() == {"file_too_large": 1}
    assert len(report.loaded) == 1


def test_of_two_that_start_together_one_compiles_and_the_other_waits(
    load: Load,
    rule: Any,
    kept: Path,
    parsed: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(rule(RICH))
    alone = len(parsed)
    both_looked = threading.Event()
    looks: list[int] = []
    read, compiled = cache.read, build._compiled

    def looked(directory: Path, key: str) -> Any:
        looks.append(1)
        if len(looks) == 3:  # twice the one that compiles, once the other
            both_looked.set()
        return read(directory, key)

    def compiled_late(*args: Any) -> Any:
        assert both_looked.wait(30)
        return compiled(*args)

    monkeypatch.setattr(cache, "read", looked)
    monkeypatch.setattr(build, "_compiled", compiled_late)
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(load, cache_dir=kept) for _ in range(2))

    assert len(parsed) == 2 * alone
    assert [r.title for r in first.result().rules] == [r.title for r in second.result().rules]


def test_where_no_lock_can_be_had_rules_are_compiled_all_the_same(
    load: Load, rule: Any, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    engine = load(rule(RICH), cache_dir=in_the_way / "cache")

    assert len(engine.rules) == 1
    assert engine.report.cache_problem


def test_nothing_is_taken_from_a_folder_that_others_can_write_to(
    load: Load, rule: Any, kept: Path, parsed: list[int]
) -> None:
    load(rule(RICH), cache_dir=kept)
    before = len(parsed)
    kept.chmod(0o777)

    engine = load(rule(RICH), cache_dir=kept)

    assert len(parsed) == 2 * before
    assert engine.report.cache_problem.endswith(f"type: chmod go-w {kept}")
