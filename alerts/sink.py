"""The interface of an alert sink, and the registry that finds sinks by scanning.

A sink is a module in ``alerts/sinks/`` (or an entry point of the group ``samlog.sinks``) with a
pydantic ``Config`` (``type: Literal["<name>"]``) and ``open_sink(config) -> Sink``.
"""

import pkgutil
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol

from pydantic import Field

from alerts import sinks
from samlog.config import Model
from samlog.errors import ConfigError


class SinkConfig(Model):
    """What every sink's configuration has."""

    batch: ClassVar[int] = 100
    """Alerts that `Sink.send` gets at most at once: 1 where each is a request of its own, so that
    what was accepted before the trouble began is noted and not sent again. Each note is a commit.
    """
    type: str
    name: str = ""
    """Shown in metrics and `alerts show`; default: the type. Two sinks of one type need names."""
    min_priority: Literal["kritisk", "hoj", "høj", "middel", "lav"] = Field(default="lav")
    """Alerts below it are not sent here."""

    @property
    def label(self) -> str:
        return self.name or self.type


class Sink(Protocol):
    """Takes alert revisions to people or systems. At least once; the id tells repeats."""

    def send(self, alerts: Sequence[bytes]) -> None:
        """Sends soc-alert/1 JSON documents, oldest first; returns when all were accepted.

        Raises `Unavailable` when the other side is down or slow, or refuses us and not the alert
        (a log-in, an address): all are sent again, not before ``retry_after_s``.
        Raises `BadEvent` when the other side refuses one alert for good, whoever brings it: it is
        noted and not repeated.
        """

    def check(self) -> str:
        """Returns "" when the sink can be used, else a sentence with what to do."""

    def close(self) -> None:
        """Releases what is open; safe to call twice."""


@cache
def modules() -> dict[str, ModuleType]:
    """Returns the sink modules by type; two of one type are refused."""
    found = [
        import_module(f"{sinks.__name__}.{info.name}")
        for info in pkgutil.iter_modules(sinks.__path__)
    ]
    found += [entry.load() for entry in entry_points(group="samlog.sinks")]
    by_type: dict[str, ModuleType] = {}
    for module in found:
        kind = module.Config.model_fields["type"].default
        if kind in by_type:
            raise ConfigError(f"two sinks of type '{kind}': {module}, {by_type[kind]}")
        by_type[kind] = module
    return by_type


def open_sink(config: Any) -> Sink:
    """Opens the sink that a configuration describes."""
    sink: Sink = modules()[config.type].open_sink(config)
    return sink
