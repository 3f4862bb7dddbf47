"""The interface of a log source's parser, and the registry that finds parsers by scanning.

A parser is a module in ``normalize/parsers/`` (or an entry point of the group ``samlog.parsers``)
with the names of `Parser`. There is no list to edit.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from samlog.event import Event, RawEvent


@runtime_checkable
class Parser(Protocol):
    """One log source. The module's docstring is the user's page about it.

    ``NAME`` is what an operator writes as ``source:``; ``HINTS`` are further words for it (a hint
    may name several parsers: ``linux_auth`` is sshd, sudo, su, PAM and cron). ``VERSION`` rises
    when the output for the same input changes; it is in ``samlog.parser`` of every event.
    ``PROGRAMS`` are the syslog program names that it reads ("" in it: also without a header).
    ``LOGSOURCES`` are the Sigma logsources that its events answer to.
    ``LOG_CLASSES`` are the classes of the common logging practice (LC-01 ..) that it satisfies.
    """

    NAME: str
    VERSION: int
    HINTS: frozenset[str]
    PROGRAMS: frozenset[str]
    LOGSOURCES: tuple[Mapping[str, str], ...]
    LOG_CLASSES: tuple[str, ...]

    @staticmethod
    def matches(raw: RawEvent) -> bool:
        """Tells from the content alone whether ``parse`` should be tried; cheap, never raises."""

    @staticmethod
    def parse(raw: RawEvent) -> Event:
        """Returns the flat ECS event.

        Sets ``event.dataset`` and what it read; the frame adds ids, times of receipt, original,
        ``related.*`` completion and type coercion. A body it does not know still gives an event,
        with "unparsed_body" appended to ``raw.tags``. Raises `BadEvent`, and nothing else, on any
        bytes. Linear time in the length of the input.
        """
