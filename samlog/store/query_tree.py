"""What a query means, in the form that each store translates for itself.

Values are already in the type of their field and in the case of comparison, so that the two
translations cannot differ in how they read the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Gap(Enum):
    """A wildcard: ``MANY`` is any number of characters, none too; ``ONE`` exactly one."""

    MANY = "*"
    ONE = "?"


Wildcard = tuple[str | Gap, ...]
"""Literal texts and gaps between them; literals are not empty."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character out of ranges (both ends included), or out of all others."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Literal:
    """One character, itself."""

    char: str


RegexToken = Literal | CharSet | str
"""A part of a regular expression: also ``.``, ``(``, ``)``, ``|`` and quantifiers."""


@dataclass(frozen=True, slots=True)
class All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No document."""


@dataclass(frozen=True, slots=True)
class And:
    parts: Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Or:
    parts: Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Node"


@dataclass(frozen=True, slots=True)
class Exists:
    """The field, or one below it, has a value that can be searched."""

    field: str


@dataclass(frozen=True, slots=True)
class Is:
    """A keyword (in the case of comparison), a number or a boolean."""

    field: str
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Between:
    """Values from ``low`` to ``high``, both included unless said; None is open.

    Dates are milliseconds since 1970, addresses the 128-bit number of their IPv6 form.
    """

    field: str
    low: str | int | float | None
    high: str | int | float | None
    with_low: bool = True
    with_high: bool = True


@dataclass(frozen=True, slots=True)
class Words:
    """All words of ``text`` are in a text field; as a phrase also in this order, side by side."""

    field: str
    text: str
    phrase: bool


@dataclass(frozen=True, slots=True)
class Like:
    """A whole keyword, or one word of a text field, has this form."""

    field: str
    pattern: Wildcard


@dataclass(frozen=True, slots=True)
class Below:
    """One of the keywords whose name begins with ``beginning`` and a dot has this form."""

    beginning: str
    pattern: Wildcard


@dataclass(frozen=True, slots=True)
class Matches:
    """A whole keyword, or one word of a text field, matches this regular expression."""

    field: str
    tokens: tuple[RegexToken, ...]


Node = All | Nothing | And | Or | Not | Exists | Is | Between | Words | Like | Below | Matches
