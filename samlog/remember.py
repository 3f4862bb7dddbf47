"""Functions that remember their answers, but no question of any length."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

R = TypeVar("R")

LONGEST = 256
_TEXTS = (str, bytes)


def remembered(
    entries: int, longest: int = LONGEST
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Returns a decorator: `functools.lru_cache` for calls whose texts are short.

    Logs repeat their addresses and names; an attacker's are a megabyte each and all different, and
    ``lru_cache`` would keep ``entries`` of them. A call with a text, or bytes, of more than
    ``longest`` is answered and forgotten. For functions of positional arguments that can be keys.
    """

    def decorate(make: Callable[..., R]) -> Callable[..., R]:
        kept = lru_cache(maxsize=entries)(make)

        @wraps(make)
        def ask(*args: Any) -> R:
            for arg in args:
                if isinstance(arg, _TEXTS) and len(arg) > longest:
                    return make(*args)
            return kept(*args)

        return ask

    return decorate
