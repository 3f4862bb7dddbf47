"""Rules and events for the proof that many processes find what one finds.

Everything is a function of a seed and a count. Events are normalised ones, as the normalise stage
writes them: sshd, sudo and vsftpd on twelve hosts of two units.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import yaml

from samlog.bus.base import Record
from samlog.clock import iso_ms
from samlog.event import EVENTS, FORMAT_VERSION, H_UNIT, H_VERSION, event_id

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=700)
SPOOL = timedelta(hours=24)
AFTER = timedelta(hours=3)
"""How long after everything else each sender sends its last event, which closes all windows."""
HOSTS = [f"host-{number:02}" for number in range(12)]
SPOOLED, IN_2099 = "host-03", "host-07"
USERS = ["root", *(f"user{number}" for number in range(8))]

BASES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "failed": ("sshd", {"event.action": "ssh_login", "event.outcome": "failure"}),
    "login": ("sshd", {"event.action": "ssh_login", "event.outcome": "success"}),
    "root": ("sudo", {"event.action": "sudo", "user.effective.name": "root"}),
    "transfer": ("vsftpd", {"event.action": "transfer"}),
}
PROGRAM = {"failed": "sshd", "login": "sshd", "root": "sudo", "transfer": "vsftpd"}
USER, SOURCE, BYTES = "user.name", "source.ip", "source.bytes"
ALL = ["failed", "login", "root", "transfer"]


def correlations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields name and section of correlations of all eight types, and of correlations of them."""

    def one(
        name: str, kind: str, rules: Sequence[str], span: str, by: Sequence[str], **more: Any
    ) -> tuple[str, dict[str, Any]]:
        head = {"type": kind, "rules": list(rules), "timespan": span, "group-by": list(by)}
        return name, {**head, **more}

    def of(field: str | list[str], **bounds: int) -> dict[str, Any]:
        return {"condition": {"field": field, **bounds}}

    failed, moved = ["failed"], ["transfer"]
    yield one("many", "event_count", failed, "10m", [USER], condition={"gte": 5})
    yield one("many-of-source", "event_count", failed, "1h", [SOURCE], condition={"gt": 14})
    yield one("few", "event_count", ALL, "5m", [SOURCE], condition={"lt": 3})
    yield one("some", "event_count", ALL, "1m", [USER], condition={"gte": 9, "lte": 12})
    yield one("heard", "event_count", ["login"], "2m", [USER], condition={"gte": 2}, generate=True)
    yield one("spread", "value_count", failed, "10m", [USER], **of(SOURCE, gte=3))
    yield one("pairs", "value_count", failed, "20m", [SOURCE], **of([USER, SOURCE], gte=4))
    yield one("narrow", "value_count", ALL, "5m", [USER], **of(SOURCE, lte=2))
    yield one("all-four", "temporal", ALL, "2m", [USER])
    yield one("two-of", "temporal", ALL[:3], "1m", [SOURCE], condition={"gte": 2})
    yield one("in-and-root", "temporal", ["login", "root"], "90s", ["user.name", SOURCE])
    yield one("broken-in", "temporal_ordered", ["failed", "login"], "1m", [USER])
    yield one("chain", "temporal_ordered", ["failed", "login", "root"], "3m", [SOURCE])
    yield one("takes-away", "temporal_ordered", ["root", "transfer"], "2m", [USER, SOURCE])
    yield one("much", "value_sum", moved, "10m", [USER], **of(BYTES, gt=40_000))
    yield one("little", "value_sum", moved, "10m", [SOURCE], **of(BYTES, lte=3_000))
    yield one("large", "value_avg", moved, "10m", [USER], **of(BYTES, gte=6_000))
    yield one("middling", "value_avg", moved, "15m", [SOURCE], **of(BYTES, gte=4_000, lt=5_000))
    tail = of(BYTES, gte=9_500, percentile=90)
    yield one("tail", "value_percentile", moved, "10m", [USER], **tail)
    low = of(BYTES, lt=1_500, percentile=25)
    yield one("low", "value_percentile", moved, "20m", [SOURCE], **low)
    yield one("median", "value_median", moved, "10m", [USER], **of(BYTES, gt=6_000))
    yield one(
        "median-range", "value_median", moved, "20m", [USER], **of(BYTES, gt=3_000, lte=5_500)
    )
    who = {"who": {"failed": "user.name", "root": "user.effective.name"}}
    yield one("alias", "temporal", ["failed", "root"], "5m", ["who"], aliases=who)
    above = ["many", "spread"]
    yield one("above", "temporal", above, "30m", [USER], generate=True)
    more = {"condition": {"gte": 1}, "generate": True}
    yield one("above-again", "event_count", ["above"], "1h", [USER], **more)
    # The group is that of the event at which the one below fires: it moves with the firing.
    yield one("wide", "event_count", ["many"], "30m", [SOURCE], **more)
    yield one("everywhere", "event_count", ["pairs"], "1h", [SOURCE], **more)


SHARED = {"pairs", "much", "everywhere"}
"""These count over both units."""


def write_rules(folder: Path) -> Path:
    """Writes the rule folder and returns it."""
    number = count(1)
    documents = [_base(next(number), name) for name in BASES]
    for name, section in correlations():
        rule = _document(next(number), name) | {"correlation": section}
        documents.append(rule | ({"samlog": {"scope": "shared"}} if name in SHARED else {}))
    folder.mkdir(parents=True)
    (folder / "rules.yml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return folder


def _document(number: int, name: str) -> dict[str, Any]:
    rule_id = str(UUID(int=0x7777_4000_8000 << 64 | number, version=4))
    return {"title": name, "name": name, "id": rule_id, "author": "Kari", "level": "high"}


def _base(number: int, name: str) -> dict[str, Any]:
    service, selection = BASES[name]
    source = {"product": "linux", "service": service}
    detection = {"selection": selection, "condition": "selection"}
    return _document(number, name) | {"logsource": source, "detection": detection}


def events(seed: int, size: int) -> Iterator[Record]:
    """Yields ``size`` events in the order of their arrival, keyed by host.

    5 % are up to 50 s out of order, one host delivers a day that it had kept, one lives in 2099.
    """
    dice = random.Random(seed)
    for number in range(size):
        host = dice.choice(HOSTS)
        received = NOON + number * STEP
        t = received
        if host == SPOOLED:
            t -= SPOOL * (1 - number / size)
        elif dice.random() < 0.05:
            t -= timedelta(seconds=dice.randrange(50))
        if host == IN_2099:
            t = t.replace(year=2099)
        yield _record(number, host, t, received, _content(dice))


def last_events(size: int) -> Iterator[Record]:
    """Yields one event of each host, that no rule wants, after all others."""
    received = NOON + size * STEP + AFTER
    for number, host in enumerate(HOSTS):
        quiet = {"event.action": "still_here", "process.name": "sshd"}
        yield _record(size + number, host, received, received, quiet)


def _content(dice: random.Random) -> dict[str, Any]:
    kind = dice.choice(ALL + ["failed", "failed", "nothing"])
    user = dice.choice(USERS)
    source = f"192.0.2.{dice.randrange(1, 8)}"
    found = {"user.name": user, "source.ip": source, "event.action": "nothing"}
    if kind in BASES:
        found |= BASES[kind][1] | {"process.name": PROGRAM[kind]}
    if kind == "transfer":
        found["source.bytes"] = dice.randrange(10_000)
    return found


def _record(
    number: int, host: str, t: datetime, received: datetime, content: Mapping[str, Any]
) -> Record:
    unit = "enheda" if HOSTS.index(host) % 2 else "enhedb"
    event = {
        "@timestamp": iso_ms(t),
        "event.id": event_id(unit, host, number, ""),
        "event.dataset": "system.auth",
        "samlog.unit": unit,
        "samlog.received": iso_ms(received),
        "host.name": host,
        **content,
    }
    headers = {H_VERSION: FORMAT_VERSION, H_UNIT: unit.encode()}
    return Record(EVENTS, orjson.dumps(event), host.encode(), headers)
