"""Which events answer to which Sigma logsource, and where a rule's fields are in them.

A `Source` is one kind of event: the logsource it answers to, the values by which it is
recognised, and its fields. The tables are in ``detect/mappings/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detect.rule import LogSource
from detect.text import Slot, fold, texts

MAX_TOKENS = 10_000
"""Combinations of routing values remembered; then they are forgotten at once."""
MAX_TOKEN_CHARS = 200


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

    () stands for any value.
    """

    product: str
    category: str
    service: str
    where: Mapping[str, tuple[str, ...]]
    fields: Fields

    def answers(self, logsource: LogSource) -> bool:
        """Tells whether a rule for ``logsource`` is meant for these events."""
        product, category, service = logsource
        return (
            (not product or product == self.product)
            and (not category or category == self.category)
            and (not service or service == self.service)
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

    The ``primary`` fields are looked up at once, and what they tell is remembered; the others (a
    program's name) only where a source that is still possible asks for them.
    """

    def __init__(self, sources: Sequence[Source], primary: tuple[str, str, str]) -> None:
        self.sources = sources
        self._primary = primary
        self._where = [
            {key: frozenset(map(fold, values)) for key, values in source.where.items()}
            for source in sources
        ]
        self._first: dict[Any, tuple[frozenset[int], tuple[int, ...]]] = {}

    def route(self, event: Mapping[str, Any]) -> frozenset[int]:
        """Returns the indexes of all sources whose ``where`` holds for ``event``.

        A routing value that is a list or an object counts as its first text.
        """
        sure, possible = self._found(event)
        if not possible:
            return sure
        return sure.union(i for i in possible if self._holds(i, event))

    def is_sure(self, event: Mapping[str, Any]) -> bool:
        """Tells whether the primary fields alone decide."""
        return not self._found(event)[1]

    def _found(self, event: Mapping[str, Any]) -> tuple[frozenset[int], tuple[int, ...]]:
        get = event.get
        a, b, c = self._primary
        third = get(c)
        # True is 1 as a key, and an event id of true is none.
        token: tuple[Any, ...] = (get(a), get(b), third, third.__class__)
        try:
            found = self._first.get(token)
        except TypeError:
            token = tuple(map(_plain, token[:3]))
            found = self._first.get(token)
        return self._begin(token) if found is None else found

    def _begin(self, token: tuple[Any, ...]) -> tuple[frozenset[int], tuple[int, ...]]:
        have = dict(zip(self._primary, map(_plain, token[:3]), strict=True))
        sure: list[int] = []
        possible: list[int] = []
        for i, where in enumerate(self._where):
            if all(_is_among(have[key], where[key]) for key in self._primary if key in where):
                (possible if where.keys() - have.keys() else sure).append(i)
        if len(self._first) >= MAX_TOKENS:
            self._first.clear()
        found = (frozenset(sure), tuple(possible))
        names, code = token[:2], token[2]
        if all(name is None or name.__class__ is str for name in names) and all(
            len(str(value)) <= MAX_TOKEN_CHARS for value in (*names, code)
        ):
            self._first[token] = found
        return found

    def _holds(self, i: int, event: Mapping[str, Any]) -> bool:
        return all(
            key in self._primary or _is_among(_plain(event.get(key)), values)
            for key, values in self._where[i].items()
        )


def _plain(value: Any) -> str:
    """Returns the text of a routing value, "" where there is none."""
    text = texts(value)
    return text if isinstance(text, str) else next(iter(text.members), "")


def _is_among(value: str, values: frozenset[str]) -> bool:
    return fold(value[:MAX_TOKEN_CHARS]) in values if values else value != ""
