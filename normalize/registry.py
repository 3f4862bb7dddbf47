"""Finds parsers by scanning ``normalize/parsers/`` and entry points, and chooses one per event.

A parser module may also set ``ORDER`` (default 50): among parsers that recognise content, lower is
asked first; ``CONTENT``, "json" or "text", where it recognises only one of them, so that it is not
asked about the other; and ``KEYS``, names of which an object has at least one at its top when it is
of this source, so that it is not asked about others. ``generic`` parsers (text, json, syslog) are
never asked: they take what is left.
"""

import pkgutil
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from normalize import parsers as shipped
from normalize.bounded import Bounded
from normalize.header import program_key
from normalize.parser import Parser
from samlog.errors import ConfigError
from samlog.event import RawEvent

ENTRY_POINT_GROUP = "samlog.parsers"
GENERIC = ("json", "syslog", "text")
_NAMES = ("NAME", "VERSION", "HINTS", "PROGRAMS", "LOGSOURCES", "LOG_CLASSES", "matches", "parse")

_MAX_SHAPES = 2_048
"""Sets of names that are remembered, each of bounded size."""
_MAX_NAMES = 256
_MAX_CHARS = 8_192


def _fits(names: tuple[str, ...]) -> bool:
    return len(names) <= _MAX_NAMES and sum(map(len, names)) <= _MAX_CHARS


def load_parsers() -> list[Parser]:
    """Imports every parser: the shipped ones by name, then those of installed packages.

    Raises `ConfigError` for a module that lacks a name of the interface.
    """
    modules: list[Any] = [
        import_module(f"{shipped.__name__}.{found.name}")
        for found in pkgutil.iter_modules(shipped.__path__)
    ]
    modules += [entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP)]
    for module in modules:
        missing = [name for name in _NAMES if not hasattr(module, name)]
        if missing:
            where = getattr(module, "__name__", repr(module))
            raise ConfigError(f"parser {where} lacks {', '.join(missing)}")
    return [cast(Parser, module) for module in modules]


class Registry:
    """The parsers of a process. Choosing is a function of the event alone, never of history."""

    def __init__(self, parsers: Iterable[Parser] | None = None) -> None:
        """Takes ``parsers``, or finds them all. Raises `ConfigError` when two share a NAME."""
        self.parsers: dict[str, Parser] = {}
        for parser in load_parsers() if parsers is None else parsers:
            if parser.NAME in self.parsers:
                raise ConfigError(f"two parsers are called {parser.NAME!r}; rename one of them")
            self.parsers[parser.NAME] = parser
        ordered = sorted(self.parsers.values(), key=lambda p: (getattr(p, "ORDER", 50), p.NAME))
        asked = [p for p in ordered if p.NAME not in GENERIC]
        self._asked_json = tuple(p for p in asked if getattr(p, "CONTENT", "json") == "json")
        # Who is asked follows from the names alone: 6.3 us an event of Windows instead of 7.8.
        self._about = Bounded(self._asked_about, _MAX_SHAPES, _fits)
        self._asked_text = tuple(p for p in asked if getattr(p, "CONTENT", "text") == "text")
        self._by_hint: dict[str, list[Parser]] = defaultdict(list)
        self._by_program: dict[str, list[Parser]] = defaultdict(list)
        for parser in ordered:
            for hint in {parser.NAME, *parser.HINTS}:
                self._by_hint[hint].append(parser)
            for program in parser.PROGRAMS:
                if program:
                    self._by_program[program].append(parser)

    def hints(self) -> frozenset[str]:
        """Returns every word that ``source:`` may hold."""
        return frozenset(self._by_hint)

    def choose(self, raw: RawEvent) -> Parser:
        """Returns the parser for an event: hint, then program, then content, then a generic one.

        A hint is believed where one of its parsers reads the event; else it is as if there were
        none, so that a file with a stray line loses nothing.
        """
        program = program_key(raw.program) if raw.program else ""
        if raw.source and (hinted := self.hinted(raw, program)) is not None:
            return hinted
        if program and raw.json is None:
            candidates = self._by_program.get(program, ())
            if len(candidates) == 1:
                return candidates[0]
            for parser in candidates:
                if parser.matches(raw):
                    return parser
        for parser in self._asked_text if raw.json is None else self._about[tuple(raw.json)]:
            if parser.matches(raw):
                return parser
        return self.generic(raw)

    def _asked_about(self, names: tuple[str, ...]) -> tuple[Parser, ...]:
        """Returns the parsers that could recognise an object with these names."""
        asked = ((parser, getattr(parser, "KEYS", None)) for parser in self._asked_json)
        return tuple(one for one, keys in asked if keys is None or not keys.isdisjoint(names))

    def hinted(self, raw: RawEvent, program: str = "") -> Parser | None:
        """Returns the parser among those of ``raw.source`` that reads the event, if any."""
        candidates = self._by_hint.get(raw.source, ())
        for parser in candidates:
            if program and program in parser.PROGRAMS:
                return parser
        for parser in candidates:
            if parser.NAME not in GENERIC and parser.matches(raw):
                return parser
        return None

    def generic(self, raw: RawEvent) -> Parser:
        """Returns the parser that stores anything: JSON, a line with a syslog header, text."""
        if raw.json is not None:
            return self.parsers["json"]
        header = raw.program or raw.host or "log.syslog.priority" in raw.fields
        return self.parsers["syslog" if header else "text"]
