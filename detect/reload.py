"""The rule set in force, and taking a new one in its place while the stage runs.

A new set is loaded beside the old one and takes its place between two batches, whole or not at
all. It is refused when it is broken: when it holds no rule, or when something in it is refused that
the set in force did not refuse. A placeholder without values is the rule's own affair and no
breakage, as at the start.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

from detect.document import is_rule_file
from detect.engine import Engine
from detect.overlay import Overlays, load_overlays
from samlog import log
from samlog.clock import Clock
from samlog.errors import RuleError, SamlogError
from samlog.metrics import Metrics

VERSION_FILE = "VERSION"
UNVERSIONED = "unversioned"
MAX_NAMED = 5
OWN_AFFAIR = frozenset({"placeholder_without_values"})
MAX_WATCHED = 100_000
"""Files looked at for changes; in a larger tree only the first count."""


@dataclass(frozen=True)
class RuleSet:
    """Rules and overlays that were loaded together.

    ``version`` is what the rule folders say (first line of a file ``VERSION`` in each, joined by
    ``+``); ``sha256`` is of all rule and overlay files: equal wherever the files are equal.
    """

    engine: Engine
    overlays: Overlays
    version: str = UNVERSIONED
    sha256: str = ""
    stamps: "frozenset[Stamp]" = frozenset()
    """What the files looked like before they were read."""

    @property
    def refused(self) -> list[RuleError]:
        """Returns everything that does nothing because it is wrong."""
        return [*self.engine.report.refused, *self.overlays.refused]

    @property
    def label(self) -> str:
        """Returns what a detection says of the set: ``2026-08 sha256:8eaafff1…``."""
        return f"{self.version} sha256:{self.sha256}"


class Holder(Protocol):
    """Who works with a rule set: the detect step."""

    @property
    def rules(self) -> RuleSet:
        """Returns the set in force."""

    def swap(self, rules: RuleSet) -> None:
        """Takes another set; called between two batches only."""


def rule_set(
    load: Callable[[], Engine],
    roots: Sequence[Path] = (),
    overlays: Mapping[str, Path] | None = None,
    version: str = UNVERSIONED,
) -> RuleSet:
    """Returns what ``load`` gives from ``roots``, with the overlays of units (unit → file)."""
    overlays = overlays or {}
    before = stamps([*roots, *overlays.values()])
    engine = load()
    loaded = load_overlays(overlays, engine.built)
    digest = sha256(engine.built.sha256.encode())
    for unit, path in sorted(overlays.items()):
        digest.update(f"\0{unit}\0".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return RuleSet(engine, loaded, version, digest.hexdigest(), before)


def version_of(roots: Iterable[Path], known: Mapping[Path, str] | None = None) -> str:
    """Returns the version that rule folders give themselves, joined by ``+``.

    ``known`` has folders whose version the caller knows.
    """
    found = [(known or {}).get(root) or _own_version(root) for root in roots]
    return "+".join(found) or UNVERSIONED


def _own_version(root: Path) -> str:
    path = (root if root.is_dir() else root.parent) / VERSION_FILE
    try:
        text = path.read_text("utf-8", "replace")[:200].split("\n")[0].strip()
    except OSError:
        return UNVERSIONED
    return "".join(c for c in text if c.isprintable())[:40] or UNVERSIONED


def breakage(new: RuleSet, old: RuleSet) -> str:
    """Returns why ``new`` must not take the place of ``old``, in a sentence; "" = it may."""
    if not new.engine.rules:
        return "no rule could be loaded"
    before = {_what(error) for error in old.refused}
    fresh = [e for e in new.refused if e.reason not in OWN_AFFAIR and _what(e) not in before]
    if not fresh:
        return ""
    named = "; ".join(str(error) for error in fresh[:MAX_NAMED])
    more = f"; and {len(fresh) - MAX_NAMED} more" if len(fresh) > MAX_NAMED else ""
    return f"{len(fresh)} newly refused: {named}{more}"


def _what(error: RuleError) -> tuple[str, str, str]:
    return error.path, error.rule_id, error.reason


class Stamp(NamedTuple):
    """What a file looks like from outside."""

    path: str
    modified_ns: int
    size: int


def stamps(roots: Iterable[Path]) -> frozenset[Stamp]:
    """Returns what the rule files below ``roots`` look like now. 3,800 files take some 30 ms."""
    found: set[Stamp] = set()
    for root in roots:
        for entry in _files(root):
            found.add(entry)
            if len(found) >= MAX_WATCHED:
                return frozenset(found)
    return frozenset(found)


def _files(root: Path) -> Iterable[Stamp]:
    pending = [str(root)]
    seen: set[str] = set()
    while pending:
        place = pending.pop()
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            continue
        seen.add(real)
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        pending.append(entry.path)
                    elif is_rule_file(entry.name) or entry.name.endswith(VERSION_FILE):
                        told = entry.stat()
                        yield Stamp(entry.path, told.st_mtime_ns, told.st_size)
        except NotADirectoryError:
            told = Path(place).stat()
            yield Stamp(place, told.st_mtime_ns, told.st_size)
        except OSError:
            yield Stamp(place, -1, -1)


class Watch:
    """Tells when files changed, by looking at most every ``every_s`` seconds (0: never)."""

    def __init__(
        self, roots: Sequence[Path], last: frozenset[Stamp], every_s: float, now_s: float
    ) -> None:
        """``last`` is what the files looked like when they were read."""
        self._roots = roots
        self._last = last
        self._every_s = every_s
        self._due_s = now_s + every_s
        self._settling: frozenset[Stamp] | None = None

    def changed(self, now_s: float) -> bool:
        """Tells whether files are not as they were when this was last true, or at the start.

        True is told once they have stopped changing for one interval, so that a folder which is
        being written is not read.
        """
        if not self._every_s or now_s < self._due_s:
            return False
        self._due_s = now_s + self._every_s
        now = stamps(self._roots)
        if now == self._last or now != self._settling:
            self._settling = now
            return False
        self.read(now)
        return True

    def read(self, last: frozenset[Stamp]) -> None:
        """Takes note of what the files looked like when somebody read them."""
        self._last, self._settling = last, None


class Reloader:
    """Takes a new rule set in place of the old one, between two batches."""

    def __init__(
        self,
        holder: Holder,
        load: Callable[[], RuleSet],
        watch: Watch,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._holder = holder
        self._load = load
        self._watch = watch
        self._clock = clock
        self._metrics = metrics
        self._log = log.get("rules")
        self.problem = ""
        """Why the last new set was refused; "" when the newest files are in force."""

    def told(self) -> dict[str, str]:
        """Returns what the stage's status says of its rules."""
        return {"rule_set": self._holder.rules.label, "rules_problem": self.problem}

    def turn(self, *, asked: bool) -> None:
        """Loads anew when ``asked`` or when files changed; returns at once otherwise.

        The same rules once more are taken only when ``asked``: then rules that were set aside are
        asked again.
        """
        if not (self._watch.changed(self._clock.monotonic_s()) or asked):
            return
        old = self._holder.rules
        started = self._clock.monotonic_s()
        try:
            new = self._load()
            self._watch.read(new.stamps)
            self.problem = breakage(new, old)
            if not self.problem and new.label == old.label and not asked:
                return
            if not self.problem:
                self._holder.swap(new)
        except SamlogError as error:
            self.problem = str(error)
        if self.problem:
            self._metrics.count("rule_reloads_total", outcome="refused")
            self._log.error(
                "rules_not_reloaded",
                why=self.problem,
                in_force=old.label,
                next="samlog rules lint; mend it, then send HUP or save the file again",
            )
            return
        self._tell_unmapped(new, old)
        self._metrics.count("rule_reloads_total", outcome="taken")
        self._metrics.gauge("rules_loaded", len(new.engine.rules))
        self._log.info(
            "rules_reloaded",
            rules=len(new.engine.rules),
            refused=len(new.refused),
            in_force=new.label,
            took_s=round(self._clock.monotonic_s() - started, 3),
        )

    def _tell_unmapped(self, new: RuleSet, old: RuleSet) -> None:
        """Names the rules that were asked before and are of no kind of event now."""
        before = {rule.id for rule in old.engine.rules}
        gone = [one for one in new.engine.report.unmapped if one.rule.id in before]
        if gone:
            self._log.warning(
                "rules_no_longer_asked",
                rules=len(gone),
                named=[f"{one.rule.path}: {one.reason} {one.detail}" for one in gone[:MAX_NAMED]],
                next="correct their logsource; samlog rules lint",
            )
