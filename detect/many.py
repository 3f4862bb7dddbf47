"""Several texts, or a long one, that answer to a test as one text does.

`Heavy` is for what an attacker may fill: a list of many members, a text of thousands of characters.
Nearly every rule can be made to ask such a value, so each question is answered once for all rules,
most of them from what the prefilter's one scan found. Its answers are those of `Many`.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

TextPredicate = Callable[[str], bool]


class Many:
    """The texts of a list, or none: answers like a `str` that holds if one member does."""

    __slots__ = ("members",)
    __hash__ = None  # type: ignore[assignment]  # never a key: equality means "one member equals"

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members

    def __contains__(self, part: str) -> bool:
        return any(part in member for member in self.members)

    def __eq__(self, other: object) -> bool:
        return other in self.members

    def startswith(self, prefix: str | tuple[str, ...]) -> bool:
        return any(member.startswith(prefix) for member in self.members)

    def endswith(self, suffix: str | tuple[str, ...]) -> bool:
        return any(member.endswith(suffix) for member in self.members)

    def satisfied(self, predicate: TextPredicate) -> bool:
        """Tells whether a member satisfies ``predicate``."""
        return any(map(predicate, self.members))


NOTHING = Many(())

Texts = str | Many


class Known(NamedTuple):
    """The literals that a scan of folded texts looks for: all, and those for one end of a text."""

    literals: frozenset[str]
    starts: frozenset[str]
    ends: frozenset[str]


class Noted(NamedTuple):
    """What the scan of ``texts`` found: literals that occur, and those for an end that hold."""

    texts: tuple[str, ...]
    known: Known
    occurs: set[str]
    starts: set[str]
    ends: set[str]


class Heavy(Many):
    """`Many` that remembers its answers. Lives for one event."""

    __slots__ = ("_answers", "_ends", "_joined", "_low", "_noted", "_partly")

    def __init__(
        self,
        members: tuple[str, ...],
        noted: Noted | None = None,
        low: Texts | None = None,
        partly: Callable[[], None] = lambda: None,
    ) -> None:
        """``noted`` is about these members; ``low`` are the same folded, where these are not.

        ``partly`` is called when a regex reads less than the whole of a member.
        """
        super().__init__(members)
        self._noted = noted
        # None stands for these: naming itself, it would keep its texts until garbage is collected.
        self._low = low
        self._partly = partly
        self._answers: dict[Hashable, bool] = {}
        self._joined: str | None = None
        self._ends: list[int] = []

    def joined(self) -> str:
        """Returns the members with a NUL between them."""
        if self._joined is None:
            self._joined = "\0".join(self.members)
        return self._joined

    def with_part(self, part: str) -> Iterator[int]:
        """Yields the numbers of the members that hold ``part``, one find a member."""
        text = self.joined()
        if "\0" in part:
            yield from (n for n, member in enumerate(self.members) if part in member)
            return
        if not self._ends:
            self._ends = list(accumulate(len(member) + 1 for member in self.members))
        position = text.find(part)
        while position >= 0:
            number = bisect_right(self._ends, position)
            yield number
            position = text.find(part, self._ends[number])

    def _answer(self, key: Hashable, ask: Callable[[], bool]) -> bool:
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = ask()
        return found

    def __contains__(self, part: str) -> bool:
        noted = self._noted
        if noted is not None and part in noted.known.literals:
            return part in noted.occurs
        if "\0" in part:
            return super().__contains__(part)
        return self._answer(part, lambda: part in self.joined())

    def startswith(self, prefix: str | tuple[str, ...]) -> bool:
        if self._noted is not None:
            held, prefix = _held(prefix, self._noted.known.starts, self._noted.starts)
            if held or not prefix:
                return held
        rest = prefix
        return self._answer(("starts", rest), lambda: super(Heavy, self).startswith(rest))

    def endswith(self, suffix: str | tuple[str, ...]) -> bool:
        if self._noted is not None:
            held, suffix = _held(suffix, self._noted.known.ends, self._noted.ends)
            if held or not suffix:
                return held
        rest = suffix
        return self._answer(("ends", rest), lambda: super(Heavy, self).endswith(rest))

    def satisfied(self, predicate: TextPredicate) -> bool:
        return self._answer(predicate, lambda: self._is_satisfied(predicate))

    def _is_satisfied(self, predicate: TextPredicate) -> bool:
        needs: tuple[str, ...] = getattr(predicate, "needs", ())
        low = self if self._low is None else self._low
        if not all(need in low for need in needs):
            return False
        longest: int | None = getattr(predicate, "longest", None)
        numbers: Iterable[int] = range(len(self.members))
        if needs and isinstance(low, Heavy):
            numbers = low.with_part(max(needs, key=len))
        for member in map(self.members.__getitem__, numbers):
            if longest is not None and len(member) > longest:
                self._partly()
            if predicate(member):
                return True
        return False


def _held(
    asked: str | tuple[str, ...], known: frozenset[str], held: set[str]
) -> tuple[bool, tuple[str, ...]]:
    """Returns whether one of ``asked`` is among ``held``, and those about which nothing is known.

    An empty text is never known: whoever asks for it gets it back.
    """
    options = (asked,) if isinstance(asked, str) else asked
    if not held.isdisjoint(options):
        return True, ()
    return False, tuple([option for option in options if option not in known])
