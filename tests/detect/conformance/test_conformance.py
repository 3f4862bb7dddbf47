"""The cases in the YAML files beside this module: Sigma 2.1, clause by clause.

A case holds:

- ``name``: a sentence, unique; ``clause``: the section of the specification, the pitfall, or the
  decision (``docs/sigma-decisions.md``) that it proves.
- ``selection`` (one detection), or ``detection`` (several, with their ``condition``).
- ``fires`` and ``silent``: events on which the rule must fire and must not; or ``refused``: the
  reason for which the rule must not be loaded, and ``says``: words that the message must hold.
- ``logsource`` (then the events must be of it), ``rule`` (other parts of the rule; null takes one
  away), ``placeholders``, ``text`` (the whole file).
- ``modes``: ``[raw]`` where fields have no other place, ``[ecs]`` where the events are normalised
  already. Without it a case runs in both, the fields moved to where normalise puts them.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml

from detect import scan
from detect.build import Built, build
from detect.engine import Engine, Mode
from detect.evaluate import holds
from detect.mappings.windows import EVENT
from detect.raw import flatten_raw
from detect.scan import Scanners, aho_corasick, hyperscan_literals
from detect.text import View

FOLDER = Path(__file__).parent
LEAST_CASES = 400
KEYS = {
    *("name", "clause", "selection", "detection", "condition", "fires", "silent", "refused"),
    *("says", "logsource", "rule", "placeholders", "text", "modes"),
}
RAW_SOURCE = {"product": "windows", "category": "test"}
ECS_SOURCE = {"product": "windows", "service": "application"}
ECS_EVENT = {"event.dataset": "windows.application", "winlog.channel": "Application"}


class Case(NamedTuple):
    """One case with the file that it is in."""

    file: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.data["name"])

    @property
    def modes(self) -> list[Mode]:
        modes: list[Mode] = self.data.get("modes", ["raw", "ecs"])
        return modes


def cases() -> Iterator[Case]:
    for path in sorted(FOLDER.glob("*.yml")):
        for data in yaml.safe_load(path.read_text(encoding="utf-8")):
            yield Case(path.stem, data)


ALL = list(cases())
REFUSED = [case for case in ALL if "refused" in case.data]
EVALUATED = [case for case in ALL if "refused" not in case.data]


def each(chosen: list[Case]) -> pytest.MarkDecorator:
    ids = [f"{case.file}: {case.name}".replace("::", ":") for case in chosen]
    return pytest.mark.parametrize("case", chosen, ids=ids)


def text_of(case: Case, mode: Mode) -> str:
    """Returns the rule of ``case`` as YAML."""
    data = case.data
    if "text" in data:
        return str(data["text"])
    detection = data.get("detection", {"selection": data.get("selection")})
    rule: dict[str, Any] = {
        "title": case.name[:256],
        "logsource": data.get("logsource", RAW_SOURCE if mode == "raw" else ECS_SOURCE),
        "detection": {**detection, "condition": data.get("condition", "selection")},
        "level": "high",
    } | data.get("rule", {})
    kept = {key: value for key, value in rule.items() if value is not None}
    return str(yaml.safe_dump(kept, allow_unicode=True, sort_keys=False))


def built_of(case: Case, mode: Mode, folder: Path) -> Built:
    (folder / "rule.yml").write_text(text_of(case, mode), encoding="utf-8")
    return build([folder], mode=mode, placeholders=case.data.get("placeholders", {}))


def placed(event: Mapping[str, Any], case: Case, mode: Mode) -> dict[str, Any]:
    """Returns an event as the engine gets it in ``mode``."""
    if mode == "raw":
        return flatten_raw(event)
    if case.modes == ["ecs"]:
        return dict(event)
    slots = {name: EVENT.slot(name) for name in event}
    return ECS_EVENT | {
        slot if isinstance(slot := slots[name], str) else next(iter(slot or ())): value
        for name, value in event.items()
    }


def engines(built: Built, mode: Mode, patch: pytest.MonkeyPatch) -> Iterator[tuple[str, Engine]]:
    """Yields an engine for each kind of scanner."""
    if scan.hyperscan is not None:
        yield "hyperscan", Engine(built, mode=mode, scanners=Scanners(hyperscan_literals))
    with patch.context() as patched:
        patched.setattr(scan, "hyperscan", None)
        yield "aho-corasick", Engine(built, mode=mode, scanners=Scanners(aho_corasick))


def line_of(event: Mapping[str, Any]) -> bytes | None:
    try:
        return orjson.dumps(event)
    except TypeError:  # a lone surrogate or a huge number has no JSON that samlog writes
        return None


def answers(engine: Engine, event: Mapping[str, Any], line: bytes | None) -> dict[str, bool]:
    """Returns what the engine says by each of its ways, twice: from its caches too."""
    ways: dict[str, Callable[[], Any]] = {
        "candidates": lambda: engine.match(event),
        "candidates from the line": lambda: engine.match(event, line=line),
        "candidates again": lambda: engine.match(event),
        "full scan": lambda: engine.match(event, prefilter=False),
    }
    return {name: bool(ask()) for name, ask in ways.items()}


def check(case: Case, mode: Mode, folder: Path, patch: pytest.MonkeyPatch) -> None:
    built = built_of(case, mode, folder)
    assert not built.report.refused, f"{mode}: {built.report.refused[0]}"
    assert not built.report.unmapped, f"{mode}: {built.report.unmapped[0]}"
    for scanner, engine in engines(built, mode, patch):
        for expected, key in ((True, "fires"), (False, "silent")):
            for event in case.data.get(key, ()):
                flat = placed(event, case, mode)
                line = line_of(event) if mode == "raw" else None
                found = answers(engine, flat, line)
                if "logsource" not in case.data:
                    view = View(flat, engine._is_searched)
                    found["by the tree"] = holds(built.variants[0].node, view)
                wrong = [name for name, answer in found.items() if answer is not expected]
                assert not wrong, f"{mode}, {scanner}: not {expected} by {wrong} on {flat}"
        assert not engine.stats.faults


@each(EVALUATED)
def test_the_rule_fires_where_it_must_and_nowhere_else(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in case.modes:
        check(case, mode, tmp_path, monkeypatch)


@each(REFUSED)
def test_the_rule_is_refused_for_its_own_reason(case: Case, tmp_path: Path) -> None:
    report = built_of(case, "raw", tmp_path).report

    assert [error.reason for error in report.refused] == [case.data["refused"]]
    assert case.data.get("says", "") in str(report.refused[0])
    assert not report.unmapped
    if "text" not in case.data:
        assert not report.loaded


def test_there_are_enough_cases_and_each_can_fail() -> None:
    assert len(ALL) >= LEAST_CASES
    assert len({case.name for case in ALL}) == len(ALL)
    for case in ALL:
        assert case.data.keys() <= KEYS, case
        assert case.data["clause"], case
        if "refused" not in case.data:
            assert case.data.get("fires"), f"{case.name}: no event fires it"
            assert case.data.get("silent"), f"{case.name}: no event leaves it silent"
