"""Rules against their samples: a rule fires on each record of ``match``, on none of ``nomatch``.

A correlation fires over the whole of a ``match`` file; rules in its own file are tried through it.

Samples are raw logs named after the rule's file, ``<stem>.match.<ext>`` and
``<stem>.nomatch.<ext>``, beside it or in a folder ``samples`` beside it or one of the two folders
above. This stage reads no logs: whoever calls hands in the reader.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from detect.correlate.local import Local
from detect.correlate.rule import silent_rules
from detect.engine import Engine
from detect.logsource import Router
from detect.mappings import SOURCES
from detect.routes import ROUTING
from detect.rule import LogSource, Rule
from samlog.clock import SystemClock
from samlog.event import Event

LEVELS_UP = 2
MAX_PROBLEMS = 20

Read = Callable[[Path], Iterable[tuple[str, Sequence[Event]]]]
"""File → (name of the record, its events) in order; no events where the record was rejected."""


class Samples(NamedTuple):
    """The sample files of one rule file, sorted."""

    match: tuple[Path, ...]
    nomatch: tuple[Path, ...]

    @property
    def complete(self) -> bool:
        return bool(self.match and self.nomatch)


class Trial(NamedTuple):
    """What became of one rule. ``problems`` are sentences; ``records`` were read for it."""

    rule: Rule
    samples: Samples
    problems: tuple[str, ...]
    records: int

    @property
    def verdict(self) -> str:
        """``ok``, ``FAIL`` or ``?`` (a kind of sample is missing and the other is no problem)."""
        if self.problems:
            return "FAIL"
        return "ok" if self.samples.complete else "?"


def samples_of(file: Path) -> Samples:
    """Returns the samples of a rule file; both are empty where there are none."""
    places = [file.parent] + [folder / "samples" for folder in file.parents[: LEVELS_UP + 1]]
    for place in places:
        found = Samples(
            *(tuple(sorted(place.glob(f"{file.stem}.{kind}.*"))) for kind in Samples._fields)
        )
        if found.match or found.nomatch:
            return found
    return Samples((), ())


def trials(root: Path, engine: Engine, read: Read) -> Iterator[Trial]:
    """Yields what became of every rule of ``engine``, which was loaded from ``root`` alone.

    Raises nothing for a rule that is refused: that is for `Engine.report` to tell.
    """
    router = Router(SOURCES, ROUTING["ecs"])
    correlations = engine.built.correlations
    parts = {one.rule.path for one in correlations}
    silent = silent_rules(correlations)
    for rule in engine.rules:
        if rule.id in silent and rule.path in parts:
            continue
        file = root if root.is_file() else root / rule.path
        samples = samples_of(file)
        problems, records = _problems(rule, samples, engine, router, read)
        yield Trial(rule, samples, tuple(problems[:MAX_PROBLEMS]), records)
    for one in correlations:
        yield _correlation(one.rule, root, engine, read)


def _correlation(rule: Rule, root: Path, engine: Engine, read: Read) -> Trial:
    """Tries a correlation: over the whole of each ``match`` it fires, of each ``nomatch`` not."""
    samples = samples_of(root if root.is_file() else root / rule.path)
    problems: list[str] = []
    records = 0
    for expected, files in ((True, samples.match), (False, samples.nomatch)):
        for file in files:
            local, total, counted = Local(engine, SystemClock()), 0, 0
            for _, events in read(file):
                total += 1
                for event in events:
                    matches = engine.match(event)
                    local.take(matches, event, total)
                    counted += bool(matches)
            records += total
            fired = any(found["rule"]["id"] == rule.id for found in local.told())
            if fired is not expected:
                problems.append(f"{file.name} as a whole {'fires' if fired else 'does not fire'}")
            elif not counted:
                problems.append(f"{file.name}: no rule fires on any record, so nothing is proven")
    return Trial(rule, samples, tuple(problems), records)


def _problems(
    rule: Rule, samples: Samples, engine: Engine, router: Router, read: Read
) -> tuple[list[str], int]:
    problems: list[str] = []
    records = 0
    for expected, files in ((True, samples.match), (False, samples.nomatch)):
        for file in files:
            near = total = 0
            for name, events in read(file):
                total += 1
                near += any(_is_meant(rule.logsource, event, router) for event in events)
                problems += _record(rule, name, events, expected, engine)
            records += total
            if not total:
                problems.append(f"{file.name} holds no record")
            elif not near:
                problems.append(
                    f"{file.name}: no record is of the rule's logsource, so nothing is proven"
                )
    return problems, records


def _record(
    rule: Rule, name: str, events: Sequence[Event], expected: bool, engine: Engine
) -> Iterator[str]:
    if not events:
        yield f"{name} is no log that samlog reads"
        return
    fired = any(_fires(rule, event, engine, prefilter=True) for event in events)
    if fired is not any(_fires(rule, event, engine, prefilter=False) for event in events):
        yield f"{name}: with and without the prefilter the answers differ"
    elif fired is not expected:
        yield f"{name} {'does not fire' if expected else 'fires'}"


def _fires(rule: Rule, event: Event, engine: Engine, *, prefilter: bool) -> bool:
    return any(match.rule.id == rule.id for match in engine.match(event, prefilter=prefilter))


def _is_meant(logsource: LogSource, event: Event, router: Router) -> bool:
    return any(router.sources[i].answers(logsource) for i in router.route(event))
