"""What a source of logs is, and the registry that finds the kinds by scanning.

A source is a module in ``ingest/sources/`` (or an entry point of the group ``samlog.sources``) that
has a `Config` model with ``type: Literal["<name>"]`` and ``open(config, context) -> Source``.

Semantics, proved by ``tests/contract/test_source.py``:

*Reading* never blocks and never decodes. *Acknowledge* says that everything returned so far is
durable on the bus: then positions move and senders get their answer. What was acknowledged is not
read again after the source is opened anew; what was not is, where the origin can repeat it (a
file can, a datagram can't). *Back-pressure*: who does not read lets the source's bounded queue
fill up; then TCP is not read, HTTP answers 429, and datagrams are dropped and counted.
"""

import codecs
import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator

import ingest.sources
from ingest.checkpoint import Checkpoints
from samlog.clock import Clock
from samlog.config import MIB, Model, UnitName
from samlog.errors import ConfigError
from samlog.event import (
    FORMAT_VERSION,
    H_COLLECTOR,
    H_ENCODING,
    H_ENVIRONMENT,
    H_HOST,
    H_LOG_CLASS,
    H_SOURCE,
    H_TZ,
    H_VERSION,
    H_ZONE,
)

GROUP = "samlog.sources"


class Config(Model):
    """What every source can be told. All but ``unit`` is context that goes along as headers."""

    type: str
    unit: UnitName
    """Unit whose topic the events go to; never taken from an event."""
    source: str = Field(default="", pattern=r"^[a-z0-9_.-]*$")
    """Parser to use, e.g. ``linux_auth``; empty: found from the content."""
    tz: str = ""
    """Zone of times that carry none, e.g. ``Europe/Copenhagen``; empty: UTC."""
    zone: str = Field(default="", pattern=r"^(intern|sikker|dmz|ekstern)?$")
    """Network zone: intern, sikker, dmz or ekstern."""
    environment: str = ""
    """prod, preprod or test."""
    log_class: str = Field(default="", pattern=r"^(LC-\d\d)?$")
    """Class of the common logging practice, e.g. ``LC-05``."""
    encoding: str = ""
    """Encoding of the bytes where it is known, e.g. ``cp1252``; empty: UTF-8, else cp1252."""
    host: str = ""
    """Host that the events are about, where they do not say it themselves."""
    collector: str = ""
    """Name of this collector; empty: the machine's host name."""

    @field_validator("tz")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value and value not in available_timezones():
            raise ValueError(f"unknown time zone {value!r}: write it like Europe/Copenhagen")
        return value and ZoneInfo(value).key

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, value: str) -> str:
        try:
            codecs.lookup(value or "utf-8")
        except LookupError as error:
            raise ValueError(f"unknown encoding {value!r}: write it like cp1252") from error
        return value


class Captured(NamedTuple):
    """One event as a source hands it over: ``headers`` are those that differ by event.

    ``stream`` names what is in order and numbered within the collector; there are few of them.
    """

    stream: str
    value: bytes
    headers: dict[str, bytes]


Count = Callable[..., None]
"""``count(name, n, **labels)``: `samlog.metrics.Metrics.count`, or a fake."""


def count_nothing(name: str, n: float = 1, **labels: str) -> None:
    """The `Count` of those who do not want figures."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a source gets beside its configuration.

    ``wake`` is set by sources that receive in threads, so that the collector need not poll.
    ``session`` is different at every start: with a number behind it, it is the origin of what has
    no position of its own. ``finite``: files are read to their end and not followed.
    """

    checkpoints: Checkpoints
    clock: Clock
    collector: str
    session: str
    count: Count = count_nothing
    wake: threading.Event = field(default_factory=threading.Event)
    finite: bool = False
    max_event_bytes: int = MIB


class Source(Protocol):
    """A place where logs come from. Called by one thread only."""

    @property
    def config(self) -> Config:
        """Returns what the operator wrote."""

    @property
    def finite(self) -> bool:
        """Tells whether the input has an end (a file read once, a pipe)."""

    @property
    def repeats(self) -> bool:
        """Tells that what was not acknowledged comes again: from a position, or from its sender."""

    @property
    def finished(self) -> bool:
        """Tells that everything there will ever be was returned by `read`."""

    def read(self, max_records: int, max_bytes: int) -> Sequence[Captured]:
        """Returns what there is now, in order, at once; empty when there is nothing.

        Both limits may be passed by what one chunk of input holds (128 KiB).
        """

    def acknowledge(self) -> None:
        """Everything returned so far is durable. Runs inside the checkpoints' transaction."""

    def drain(self) -> None:
        """Takes no new input. What was accepted is still read; then `finished` is true."""

    def close(self) -> None:
        """Releases everything; what is not acknowledged is forgotten. Safe to call twice.

        What was accepted and does not come again is still read afterwards, to be counted.
        """


def modules() -> Mapping[str, ModuleType]:
    """Returns the source modules by name: ours, then those of other distributions."""
    names = [module.name for module in pkgutil.iter_modules(ingest.sources.__path__)]
    found = {name: importlib.import_module(f"ingest.sources.{name}") for name in names}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry.load())
    return found


def types() -> Mapping[str, type[Config]]:
    """Returns per ``type:`` the model of its configuration."""
    return {name: module.Config for name, module in modules().items()}


def open_sources(configs: Iterable[Any], context: Context) -> Sequence[Source]:
    """Opens every source, or none.

    Raises `ConfigError` where a source can't work as configured, and `Unavailable` where it may
    work later (a port in use).
    """
    known = modules()
    opened: list[Source] = []
    with ExitStack() as undo:
        for config in configs:
            if config.type not in known:
                raise ConfigError(f"unknown source {config.type!r}: known are {', '.join(known)}")
            source: Source = known[config.type].open(config, context)
            undo.callback(source.close)
            opened.append(source)
        undo.pop_all()
    return opened


def constant_headers(config: Config, collector: str) -> dict[str, bytes]:
    """Returns the headers that all events of a source share."""
    values = {
        H_SOURCE: config.source,
        H_COLLECTOR: collector,
        H_TZ: config.tz,
        H_ZONE: config.zone,
        H_ENVIRONMENT: config.environment,
        H_LOG_CLASS: config.log_class,
        H_ENCODING: config.encoding,
        H_HOST: config.host,
    }
    return {H_VERSION: FORMAT_VERSION} | {k: v.encode() for k, v in values.items() if v}


def received(moment: datetime) -> bytes:
    """Returns ``moment`` as the header ``received`` has it: RFC 3339, UTC, nine decimals.

    >>> received(datetime(2026, 1, 10, 13, 37, 1, 5, tzinfo=UTC))
    b'2026-01-10T13:37:01.000005000Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
