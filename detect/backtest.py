"""How often each rule fired on given events, and what changed against a saved baseline.

A baseline is a JSON file for version control: which input it was (a hash of its records), and per
rule that fired its title and matches, sorted by id.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from detect.engine import Engine
from samlog.errors import ConfigError
from samlog.event import Event

FORMAT = "samlog-backtest/1"
MAX_BASELINE_BYTES = 64 << 20


class Change(NamedTuple):
    """A rule that fires more or less often than in the baseline."""

    rule: str
    title: str
    before: int
    after: int
    note: str = ""
    """``new``: not loaded or never fired before; ``gone``: not loaded now."""


@dataclass
class Outcome:
    """What a run over events gave. ``titles``: rule id → title, of rules that fired."""

    events: int = 0
    rejected: int = 0
    matches: Counter[str] = field(default_factory=Counter)
    titles: dict[str, str] = field(default_factory=dict)
    rule_set: str = ""
    input: str = ""


class Backtest:
    """Counts matches; one run over one input."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._digest = blake2b(digest_size=16)
        self.outcome = Outcome(rule_set=engine.built.sha256)

    def take(self, record: bytes, events: Iterable[Event]) -> None:
        """Asks all rules about the events of one record; none: it was rejected."""
        self._digest.update(len(record).to_bytes(8, "big") + record)
        outcome, rejected = self.outcome, True
        for event in events:
            rejected = False
            outcome.events += 1
            for match in self._engine.match(event):
                outcome.matches[match.rule.id] += 1
                outcome.titles[match.rule.id] = match.rule.title
        outcome.rejected += rejected

    def end(self) -> Outcome:
        """Returns what was counted."""
        self.outcome.input = self._digest.hexdigest()
        return self.outcome


def changes(before: Outcome, after: Outcome, loaded: Mapping[str, str]) -> list[Change]:
    """Returns what fires more or less often, the greatest difference first.

    ``loaded`` are ids and titles of all rules now.
    """
    found = []
    for rule in {*before.matches, *after.matches}:
        was, is_ = before.matches[rule], after.matches[rule]
        if was != is_:
            title = after.titles.get(rule) or loaded.get(rule) or before.titles.get(rule, "")
            note = "new" if not was else "gone" if rule not in loaded else ""
            found.append(Change(rule, title, was, is_, note))
    return sorted(found, key=lambda change: (-abs(change.after - change.before), change.rule))


def write(path: Path, outcome: Outcome) -> None:
    """Saves a baseline: whole or not at all."""
    rules = {
        rule: {"title": outcome.titles[rule], "matches": outcome.matches[rule]}
        for rule in sorted(outcome.matches)
    }
    content = {
        "format": FORMAT,
        "events": outcome.events,
        "rejected": outcome.rejected,
        "input": outcome.input,
        "rule_set": outcome.rule_set,
        "rules": rules,
    }
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    fresh.replace(path)


def read(path: Path) -> Outcome:
    """Returns a saved baseline. Raises `ConfigError` where there is none, or it is another file."""
    try:
        with path.open("rb") as file:
            content: Any = orjson.loads(file.read(MAX_BASELINE_BYTES))
    except FileNotFoundError as error:
        text = "there is no such baseline; --accept writes it"
        raise ConfigError(text, path=str(path)) from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"is no baseline: {error}", path=str(path)) from error
    try:
        if content["format"] != FORMAT:
            raise ConfigError(f"is no baseline of format {FORMAT}", path=str(path))
        rules = {str(rule): told for rule, told in content["rules"].items()}
        return Outcome(
            int(content["events"]),
            int(content["rejected"]),
            Counter({rule: int(told["matches"]) for rule, told in rules.items()}),
            {rule: str(told["title"]) for rule, told in rules.items()},
            str(content["rule_set"]),
            str(content["input"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"is no baseline: {error!r}", path=str(path)) from error
