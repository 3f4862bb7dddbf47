"""A new rule set takes the place of the old one as a whole, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.engine import Engine
from detect.reload import Reloader, RuleSet, Watch, breakage, rule_set, stamps, version_of
from samlog.errors import Unavailable
from samlog.metrics import Metrics
from samlog.testing import FakeClock

OTHER_ID = "11111111-1111-4111-8111-111111111112"


class Holder:
    """Remembers the sets that it was given."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.swaps = 0

    def swap(self, rules: RuleSet) -> None:
        self.rules = rules
        self.swaps += 1


@pytest.fixture
def folder(tmp_path: Path, rule: Any) -> Path:
    path = tmp_path / "rules"
    path.mkdir()
    (path / "one.yml").write_text(yaml.safe_dump(rule({"selection": {"A": "x"}})))
    return path


def loaded(folder: Path, **overlays: Path) -> RuleSet:
    return rule_set(
        lambda: Engine.load([folder], mode="raw"), [folder], overlays, version_of([folder])
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reloader(folder: Path, clock: FakeClock) -> tuple[Reloader, Holder, Metrics]:
    holder, metrics = Holder(loaded(folder)), Metrics()
    watch = Watch([folder], holder.rules.stamps, 10, clock.monotonic_s())
    return Reloader(holder, lambda: loaded(folder), watch, clock, metrics), holder, metrics


def add(folder: Path, rule: Any, name: str = "two", **changes: Any) -> None:
    new = rule({"selection": {"B": "y"}}, **{"id": OTHER_ID, **changes})
    (folder / f"{name}.yml").write_text(yaml.safe_dump(new))


def test_whoever_asks_gets_the_new_rules_at_once(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, rule: Any
) -> None:
    turn, holder, metrics = reloader
    add(folder, rule)

    turn.turn(asked=False)
    assert holder.swaps == 0
    turn.turn(asked=True)

    assert holder.rules.engine.match({"B": "y"})
    assert metrics.value("rule_reloads_total", outcome="taken") == 1
    assert metrics.value("rules_loaded") == 2


def test_changed_files_are_taken_when_they_have_settled(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, rule: Any, clock: FakeClock
) -> None:
    turn, holder, _ = reloader
    swaps = []
    for n in range(5):
        if n < 2:
            add(folder, rule, f"new{n}", id=f"11111111-1111-4111-8111-11111111112{n}")
        clock.advance(10)
        turn.turn(asked=False)
        swaps.append(holder.swaps)

    assert swaps == [0, 0, 1, 1, 1]
    assert len(holder.rules.engine.rules) == 3


def test_a_file_that_is_taken_away_or_only_rewritten_in_place_is_noticed(
    folder: Path, rule: Any
) -> None:
    first = stamps([folder])
    os.utime(folder / "one.yml", ns=(1, 1))
    second = stamps([folder])
    (folder / "one.yml").unlink()

    assert first != second
    assert stamps([folder]) == frozenset()


def test_a_root_that_is_a_file_or_is_not_there_is_watched_too(folder: Path) -> None:
    file, absent = folder / "one.yml", folder / "absent"

    before = stamps([file, absent])
    absent.write_text("x")

    assert len(before) == 2
    assert stamps([file, absent]) != before


def test_with_an_interval_of_0_nobody_looks(folder: Path, rule: Any) -> None:
    watch = Watch([folder], frozenset(), 0, 0)

    assert not watch.changed(1e9)


@pytest.mark.parametrize("text", ["title: [", "title: x\ntitle: y", "\ta: b"])
def test_a_broken_set_is_refused_as_a_whole_and_the_old_one_goes_on(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, rule: Any, text: str
) -> None:
    turn, holder, metrics = reloader
    old = holder.rules
    add(folder, rule)
    (folder / "bad.yml").write_text(text)

    turn.turn(asked=True)

    assert holder.rules is old
    assert "bad.yml" in turn.problem
    assert metrics.value("rule_reloads_total", outcome="refused") == 1
    assert turn.told() == {"rule_set": old.label, "rules_problem": turn.problem}


def test_a_mended_set_is_taken_and_the_problem_is_over(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, rule: Any
) -> None:
    turn, holder, _ = reloader
    (folder / "bad.yml").write_text("title: [")
    turn.turn(asked=True)
    (folder / "bad.yml").unlink()
    add(folder, rule)

    turn.turn(asked=True)

    assert turn.problem == ""
    assert len(holder.rules.engine.rules) == 2


def test_what_somebody_asked_for_is_not_read_again_because_it_changed(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, rule: Any, clock: FakeClock
) -> None:
    turn, holder, _ = reloader
    add(folder, rule)
    turn.turn(asked=True)
    for _ in range(3):
        clock.advance(10)
        turn.turn(asked=False)

    assert holder.swaps == 1


def test_the_same_rules_are_taken_again_only_when_somebody_asks(
    reloader: tuple[Reloader, Holder, Metrics], folder: Path, clock: FakeClock
) -> None:
    turn, holder, _ = reloader
    os.utime(folder / "one.yml", ns=(1, 1))
    for _ in range(3):
        clock.advance(10)
        turn.turn(asked=False)
    unasked = holder.swaps
    turn.turn(asked=True)

    assert (unasked, holder.swaps) == (0, 1)


def test_what_was_refused_before_stops_no_reload(folder: Path, rule: Any) -> None:
    (folder / "bad.yml").write_text("title: [")
    old = loaded(folder)
    add(folder, rule)

    assert breakage(loaded(folder), old) == ""


def test_a_placeholder_without_values_is_the_rules_own_affair(folder: Path, rule: Any) -> None:
    old = loaded(folder)
    new = rule({"selection": {"A|expand": "%admins%"}}, id=OTHER_ID)
    (folder / "two.yml").write_text(yaml.safe_dump(new))

    found = loaded(folder)

    assert len(found.refused) == 1
    assert breakage(found, old) == ""


def test_rules_that_are_asked_no_more_are_named(
    folder: Path, rule: Any, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "one.yml"
    source = {"product": "windows", "service": "security"}
    path.write_text(yaml.safe_dump(rule({"selection": {"EventID": 1}}, logsource=source)))
    add(folder, rule, logsource=source)

    def load() -> RuleSet:
        return rule_set(lambda: Engine.load([folder], mode="ecs"), [folder], {}, "1")

    holder = Holder(load())
    watch = Watch([folder], holder.rules.stamps, 10, clock.monotonic_s())
    path.write_text(path.read_text().replace("security", "securty"))
    Reloader(holder, load, watch, clock, Metrics()).turn(asked=True)

    assert len(holder.rules.engine.rules) == 1
    said = capsys.readouterr().out
    assert "rules_no_longer_asked" in said
    assert "service securty" in said


def test_a_set_without_any_rule_is_broken(folder: Path) -> None:
    old = loaded(folder)
    (folder / "one.yml").unlink()

    assert breakage(loaded(folder), old) == "no rule could be loaded"


def test_a_broken_overlay_breaks_the_set(folder: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "enheda.yaml"
    overlay.write_text("")
    old = loaded(folder, enheda=overlay)
    overlay.write_text("- {rules: [nobody], disable: true}")

    assert "enheda.yaml:1: unit enheda" in breakage(loaded(folder, enheda=overlay), old)


def test_many_new_problems_are_counted_and_five_are_named(folder: Path) -> None:
    old = loaded(folder)
    for n in range(8):
        (folder / f"bad{n}.yml").write_text("title: [")

    told = breakage(loaded(folder), old)

    assert told.startswith("8 newly refused: ")
    assert told.endswith("; and 3 more")
    assert told.count("is not YAML") == 5


def test_a_set_that_cannot_be_read_now_is_refused(folder: Path, clock: FakeClock) -> None:
    def load() -> RuleSet:
        raise Unavailable("the share is gone")

    holder = Holder(loaded(folder))
    watch = Watch([folder], holder.rules.stamps, 10, 0)
    turn = Reloader(holder, load, watch, clock, Metrics())

    turn.turn(asked=True)

    assert turn.problem == "the share is gone"
    assert holder.swaps == 0


def test_the_same_files_have_the_same_hash_wherever_they_lie(
    folder: Path, tmp_path: Path, rule: Any
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "one.yml").write_bytes((folder / "one.yml").read_bytes())
    overlay = tmp_path / "enheda.yaml"
    overlay.write_text("")

    assert loaded(folder).sha256 == loaded(copy).sha256
    assert loaded(folder, enheda=overlay).sha256 != loaded(folder).sha256
    add(copy, rule)
    assert loaded(folder).sha256 != loaded(copy).sha256


def test_the_version_is_what_the_folders_say(folder: Path, tmp_path: Path) -> None:
    (folder / "VERSION").write_text("2026-08\x1b[31m\nmore")

    assert (
        version_of([folder, tmp_path, folder / "one.yml"]) == "2026-08[31m+unversioned+2026-08[31m"
    )
    assert version_of([folder], {folder: "0.2.0"}) == "0.2.0"
    assert version_of([]) == "unversioned"


def test_the_cache_of_compiled_rules_changes_no_hash(
    folder: Path, tmp_path: Path, load: Callable[..., Engine]
) -> None:
    hashes = {
        Engine.load([folder], mode="raw", cache_dir=tmp_path / "cache").built.sha256
        for _ in range(2)
    }

    assert len(hashes) == 1
