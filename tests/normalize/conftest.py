"""A normaliser for one unit, and one call for "this record, with these headers"."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from normalize.frame import Normalizer
from normalize.registry import Registry
from samlog.event import Event

NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
DEFAULTS = {"municipality": "kommune-x", "zone": "sikker", "environment": "unknown"}


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="session")
def normalize(registry: Registry) -> Callable[..., list[Event]]:
    """Returns the events of a record that came as ``offset`` of the unit's topic."""
    usual = Normalizer({"enheda": DEFAULTS}, registry)

    def call(
        value: bytes | str,
        headers: Mapping[str, bytes] | None = None,
        *,
        normalizer: Normalizer = usual,
        unit: str = "enheda",
        offset: int = 0,
    ) -> list[Event]:
        return normalizer.normalize(
            value.encode() if isinstance(value, str) else value,
            headers or {},
            unit=unit,
            key=b"collector|stream",
            position=(f"samlog.raw.{unit}", 0, offset),
            appended_at=NOW,
        )

    return call


@pytest.fixture(scope="session")
def one(normalize: Callable[..., list[Event]]) -> Callable[..., Event]:
    """Returns the only event of a record."""

    def call(value: bytes | str, headers: Mapping[str, bytes] | None = None) -> Event:
        (event,) = normalize(value, headers)
        return event

    return call
