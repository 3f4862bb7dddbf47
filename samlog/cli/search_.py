"""``samlog search``: one query language over whichever store is configured."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import click

from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.clock import Clock
from samlog.errors import ConfigError, Exit
from samlog.event import Event
from samlog.store.base import EventStore, Query

PAGE = 1_000
UNITS_OF_TIME = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str, now: datetime) -> datetime:
    """Reads ``2026-01-10``, ``2026-01-10T13:37``, or ``15m``, ``24h``, ``7d`` (that long ago).

    Without a zone it is UTC. Raises `ConfigError` with what can be written.
    """
    try:
        if text[-1:] in UNITS_OF_TIME and text[:-1].isdecimal():
            return now - timedelta(seconds=int(text[:-1]) * UNITS_OF_TIME[text[-1]])
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"'{text}' is no time; write 2026-01-10, 2026-01-10T13:37Z, or 15m, 24h, 7d for ago"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@click.command(
    help="\b\nExample: samlog search 'event.code:4625 AND source.ip:203.0.113.0/24' --since 24h\n"
    "Example: samlog search 'user.name:admin*' --json | jq .\n\n"
    "Search stored events in Lucene syntax, newest first; case does not matter."
)
@click.argument("query", default="*")
@click.option("--since", help="Oldest time (inclusive): 2026-01-10, or 15m, 24h, 7d for ago.")
@click.option("--until", help="End of time (exclusive), written likewise.")
@click.option("--unit", "units", multiple=True, help="Only this unit; may be repeated.")
@click.option("--dataset", "datasets", multiple=True, help="Only this dataset, e.g. system.auth.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="At most this many; 0 = all, of --by at most 10,000.",
)
@click.option("--count", "only_count", is_flag=True, help="Only the number of hits.")
@click.option("--by", metavar="FIELD", help="Count the values of a field instead.")
@config_option
@json_option
def command(
    query: str,
    since: str | None,
    until: str | None,
    units: tuple[str, ...],
    datasets: tuple[str, ...],
    limit: int,
    only_count: bool,
    by: str | None,
    config: str | None,
    as_json: bool,
) -> int:
    settings = pipeline.load_settings(config).settings
    clock = pipeline.system_clock()
    strangers = sorted(set(units) - set(settings.units))
    if strangers:
        raise ConfigError(f"unknown unit '{strangers[0]}'; known: {', '.join(settings.units)}")
    asked = Query(
        query,
        units or tuple(settings.units),
        since=moment(since, clock.now()) if since is not None else None,
        until=moment(until, clock.now()) if until is not None else None,
        streams=datasets,
    )
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        raise ConfigError(f"--since {since} is not before --until {until}: nothing lies between")
    store = pipeline.open_store(settings, clock)
    try:
        return answer(store, asked, limit, only_count, by, as_json, clock)
    finally:
        store.close()


def answer(
    store: EventStore,
    asked: Query,
    limit: int,
    only_count: bool,
    by: str | None,
    as_json: bool,
    clock: Clock,
) -> int:
    """Prints hits, a number or buckets; returns 0, or 1 when nothing was found."""
    started = clock.monotonic_s()
    if only_count:
        total = store.count(asked)
        click.echo(total)
        return Exit.DONE if total else Exit.FAILED
    if by:
        buckets = store.terms(asked, by, size=limit or 10_000)
        if as_json:
            emit({"key": bucket.key, "count": bucket.count} for bucket in buckets)
        else:
            table((by, "count"), ((bucket.key, bucket.count) for bucket in buckets))
        return Exit.DONE if buckets else Exit.FAILED
    first = store.search(asked, limit=min(limit or PAGE, PAGE))
    events = _pages(store, asked, limit, first)
    if as_json:
        emit(events)
    else:
        table(("@timestamp", "unit", "host", "dataset", "event"), (_row(e) for e in events))
    shown = min(limit or first.total, first.total)
    summary(
        f"{number(shown)} of {number(first.total)} hits · {clock.monotonic_s() - started:.2f} s"
    )
    return Exit.DONE if first.total else Exit.FAILED


def _pages(store: EventStore, asked: Query, limit: int, page: object) -> Iterator[Event]:
    from samlog.store.base import Page

    assert isinstance(page, Page)
    left = limit or page.total
    while True:
        for hit in page.hits[:left]:
            yield hit.source
        left -= len(page.hits)
        if left <= 0 or not page.cursor:
            return
        page = store.search(asked, limit=min(left, PAGE), cursor=page.cursor)


def _row(event: Event) -> tuple[str, str, str, str, str]:
    text = event.get("message") or event.get("event.original") or ""
    return (
        str(event.get("@timestamp", "")),
        str(event.get("samlog.unit", "")),
        str(event.get("host.name", "")),
        str(event.get("event.dataset", "")),
        " ".join(str(text).split())[:160],
    )
