"""The interface of a log source's parser, and the registry that finds parsers by scanning.

A parser is a module in ``normalize/parsers/`` (or an entry point of the group ``samlog.parsers``)
with the names of `Parser`. There is no list to edit.
"""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from samlog.event import Event, RawEvent

CLASSES: Mapping[str, str] = {
    "LC-01": "authentication",
    "LC-02": "accounts and rights",
    "LC-03": "privileged access",
    "LC-04": "Windows hosts",
    "LC-05": "Unix and Linux hosts",
    "LC-06": "antimalware, EDR",
    "LC-07": "firewall",
    "LC-08": "router, switch",
    "LC-09": "IDS, NDR",
    "LC-10": "remote access",
    "LC-11": "DNS, DHCP",
    "LC-12": "web proxy",
    "LC-13": "web server, WAF, load balancer",
    "LC-14": "mail",
    "LC-15": "virtualisation",
    "LC-16": "terminal desktop",
    "LC-17": "database",
    "LC-18": "application",
    "LC-19": "backup",
    "LC-20": "configuration, patches, vulnerabilities",
    "LC-21": "zone boundary",
    "LC-22": "health of logging",
    "LC-23": "cloud",
    "LC-24": "resources and performance",
    "LC-25": "physical and environmental",
}
"""Classes of the common logging practice."""


@runtime_checkable
class Parser(Protocol):
    """One log source. The module's docstring is the user's page about it.

    ``NAME`` is what an operator writes as ``source:``; ``HINTS`` are further words for it (a hint
    may name several parsers: ``linux_auth`` is sshd, sudo, su, PAM and cron). ``VERSION`` rises
    when the output for the same input changes; it is in ``samlog.parser`` of every event.
    ``PROGRAMS`` are the syslog program names that it reads ("" in it: also without a header).
    ``LOGSOURCES`` are the Sigma logsources that its events answer to.
    ``LOG_CLASSES`` are the classes of the common logging practice (LC-01 ..) that it satisfies.
    Where these are several, ``parse`` may name the one of an event in ``samlog.log_class``.

    A module may also say, for its page in ``docs/reference/sources/``: ``SPECIFICATION``, a tuple
    of the documents that define the format, and ``SETTINGS``, Markdown about what to set at the
    device or its agent so that the events come, and come whole.
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
