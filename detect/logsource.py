"""Which events answer to which Sigma logsource, and where a rule's fields are in them.

A `Source` is one kind of event: the logsource it answers to, the values by which it is
recognised, and its fields. The tables are in ``detect/mappings/``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detect.rule import LogSource
from detect.text import Slot, fold, texts

CISCO = "#cisco"
"""Computed routing field: the line holds a Cisco mnemonic, ``%FACILITY-SEVERITY-MNEMONIC:``."""

_MNEMONIC = re.compile(r"%[A-Z][A-Z0-9_]{1,30}(?:-[A-Z0-9_]{1,30})?-[0-7]-[A-Z0-9_]{2,40}\s*:")
_SEARCHED = 300

MAX_TOKENS = 10_000
"""Values remembered per routing field, known or not; then they are forgotten at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Where the fields of a taxonomy are: ``names``, else ``below``, else behind ``prefix``.

    ``below`` maps the beginning of a dotted name to what stands there instead. A name without any
    place has no field: a rule that reads it cannot be evaluated on these events.
    """

    names: Mapping[str, Slot]
    prefix: str | None = None
    below: Mapping[str, str] = field(default_factory=dict)

    def slot(self, name: str) -> Slot | None:
        """Returns where ``name`` is, or None."""
        found = self.names.get(name)
        if found is not None:
            return found
        for beginning, place in self.below.items():
            if name.startswith(beginning):
                return place + name.removeprefix(beginning)
        return None if self.prefix is None else self.prefix + name


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One kind of event. ``where``: routing field → values of which it has one, in any case.

    () stands for any value. A routing field that begins with ``#`` is computed from the event.
    """

    product: str
    category: str
    service: str
    where: Mapping[str, tuple[str, ...]]
    fields: Fields

    def answers(self, logsource: LogSource) -> bool:
        """Tells whether a rule for ``logsource`` is meant for these events."""
        own = (self.product, self.category, self.service)
        return all(
            not wanted or wanted == have for wanted, have in zip(logsource, own, strict=True)
        )


SAME = Fields({}, prefix="")
"""The rules' own names, as `--raw` reads them."""


def conflicts(logsource: LogSource, event: LogSource) -> bool:
    """Tells whether rule and event both name a product, category or service, and differ."""
    return any(
        wanted and have and wanted != have for wanted, have in zip(logsource, event, strict=True)
    )


class Router:
    """Tells which sources an event belongs to. The cost does not depend on how many there are.

    Only values that some source names are kept apart, so there are few distinct outcomes however
    many values arrive; an event whose routing value is a list or an object has the text of it.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.keys = tuple(sorted({key for source in sources for key in source.where}))
        self._known = {key: _values(sources, key) for key in self.keys}
        self._tokens: list[dict[str, str]] = [{} for _ in self.keys]
        self._routes: dict[tuple[str, ...], frozenset[int]] = {}
        self._computed = CISCO in self.keys

    def route(self, event: Mapping[str, Any]) -> frozenset[int]:
        """Returns the indexes of all sources whose ``where`` holds for ``event``."""
        token = tuple(
            [
                self._token(i, value) if (value := event.get(key)) is not None else ""
                for i, key in enumerate(self.keys)
            ]
        )
        if self._computed and is_cisco(event):
            token = tuple(
                "yes" if key == CISCO else known
                for key, known in zip(self.keys, token, strict=True)
            )
        found = self._routes.get(token)
        if found is None:
            found = self._routes[token] = self._match(token)
        return found

    def _token(self, i: int, value: Any) -> str:
        tokens = self._tokens[i]
        if value.__class__ is not str:
            text = texts(value)
            value = text if isinstance(text, str) else (text.members or ("",))[0]
        found = tokens.get(value)
        if found is None:
            folded = fold(value[:200])
            found = folded if folded in self._known[self.keys[i]] else "?"
            if len(tokens) >= MAX_TOKENS:
                tokens.clear()
            if len(value) <= 200:
                tokens[value] = found
        return found

    def _match(self, token: tuple[str, ...]) -> frozenset[int]:
        have = dict(zip(self.keys, token, strict=True))
        return frozenset(i for i, source in enumerate(self.sources) if _holds(source, have))


def is_cisco(event: Mapping[str, Any]) -> bool:
    """Tells whether a line that no parser knows better has a Cisco mnemonic near its beginning."""
    message = event.get("message")
    return (
        isinstance(message, str)
        and event.get("event.module") in {"system", "samlog"}
        and _MNEMONIC.search(message, 0, _SEARCHED) is not None
    )


def _values(sources: Iterable[Source], key: str) -> frozenset[str]:
    return frozenset(fold(value) for source in sources for value in source.where.get(key, ()))


def _holds(source: Source, have: Mapping[str, str]) -> bool:
    return all(
        have[key] in {fold(v) for v in values} if values else have[key] != ""
        for key, values in source.where.items()
    )
