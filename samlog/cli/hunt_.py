"""``samlog hunt``: a rule over the events that are stored already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from detect.build import build
from detect.detection import matched
from detect.engine import Engine, Match
from detect.rule import Rule
from detect.search.query import queries
from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.cli.rules_ import find_rule
from samlog.cli.search_ import moment
from samlog.config import Settings
from samlog.errors import ConfigError, Exit
from samlog.event import Event
from samlog.hunt import Hunt
from samlog.log import harmless
from samlog.store.base import EventStore, Query

MAX_TOLD = 10


class Asked(NamedTuple):
    """A rule, its query, and the rules that decide."""

    rule: Rule
    query: str
    engine: Engine


@click.command(
    help="\b\nExample: samlog hunt windows_shadow_copies_deleted --since 30d\n"
    "Example: samlog hunt sigma/rules/windows/process_creation --since 7d --json\n"
    "Example: samlog hunt my-rule.yml --query\n\n"
    "Run Sigma rules over stored events, newest first. RULE is a file, a folder, or an id or file "
    "name of the rules that are configured [builtin]. What is found is what the stream would have "
    "found. Exit 0 with hits; 1 without, or when a rule could not be asked."
)
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@click.option("--since", help="Oldest time (inclusive): 2026-01-10, or 15m, 24h, 7d for ago.")
@click.option("--until", help="End of time (exclusive), written likewise.")
@click.option("--unit", "units", multiple=True, help="Only this unit; may be repeated.")
@click.option("--limit", default=100, show_default=True, help="At most this many a rule; 0 = all.")
@click.option("--query", "only_query", is_flag=True, help="Print the queries, ask no store.")
@config_option
@json_option
def command(
    rules: tuple[str, ...],
    since: str | None,
    until: str | None,
    units: tuple[str, ...],
    limit: int,
    only_query: bool,
    config: str | None,
    as_json: bool,
) -> int:
    pipeline.refuse_foreign_packages()
    asked = _rules(rules, config, widen=not only_query)
    if only_query:
        return _show_queries(asked, as_json)
    settings = pipeline.load_settings(config).settings
    clock = pipeline.system_clock()
    span = Query(
        "",
        _units(units, settings),
        since=moment(since, clock.now()) if since else None,
        until=moment(until, clock.now()) if until else None,
    )
    store = pipeline.open_store(settings, clock)
    started = clock.monotonic_s()
    try:
        hunts = list(filter(None, (_asked(store, span, rule, limit, as_json) for rule in asked)))
    finally:
        store.close()
    hits = sum(hunt.hits for hunt in hunts)
    summary(
        f"{number(hits)} hits of {number(sum(bool(h.hits) for h in hunts))} rules · "
        f"{number(len(hunts))} rules asked · {number(sum(h.candidates for h in hunts))} events "
        f"looked at · {clock.monotonic_s() - started:.2f} s"
    )
    return Exit.DONE if hits and len(hunts) == len(asked) else Exit.FAILED


def _units(units: Sequence[str], settings: Settings) -> tuple[str, ...]:
    strangers = sorted(set(units) - set(settings.units))
    if strangers:
        raise ConfigError(f"unknown unit '{strangers[0]}'; known: {', '.join(settings.units)}")
    return tuple(units) or tuple(settings.units)


def _rules(names: Sequence[str], config: str | None, *, widen: bool) -> list[Asked]:
    """Returns the rules by name, those that cannot be asked told on stderr.

    Raises `ConfigError` when none is left.
    """
    found: list[Asked] = []
    problems: list[str] = []
    values = pipeline.placeholders(config)
    for name in names:
        path, rule_id = (Path(name), "") if Path(name).exists() else find_rule(name, config)
        built = build([path], mode="ecs", placeholders=values)
        engine = Engine(built, mode="ecs")
        report = built.report
        problems += [f"refused: {error}" for error in report.refused]
        problems += [f"{u.rule.path}: no such events here: {u.detail}" for u in report.unmapped]
        for query in queries(built, widen=widen):
            if query.error is not None:
                problems.append(f"{query.rule.path}: {query.error}")
            elif query.rule.id.startswith(rule_id):
                found.append(Asked(query.rule, query.text, engine))
    for problem in problems[:MAX_TOLD]:
        summary(harmless(problem, 600))
    if len(problems) > MAX_TOLD:
        summary(f"and {number(len(problems) - MAX_TOLD)} more")
    if not found:
        raise ConfigError(f"no rule of {', '.join(names)} can be searched for")
    return found


def _show_queries(asked: Sequence[Asked], as_json: bool) -> int:
    if as_json:
        emit(_rule_row(each.rule) | {"query": each.query} for each in asked)
        return Exit.DONE
    for each in asked:
        click.echo(f"# {harmless(each.rule.title, 300)} ({harmless(each.rule.author, 200)})")
        click.echo(each.query)
    return Exit.DONE


def _asked(store: EventStore, span: Query, asked: Asked, limit: int, as_json: bool) -> Hunt | None:
    """Returns one rule's hunt; None, told on stderr, where the store does not take its query."""
    try:
        return _hunt(store, span, asked, limit, as_json)
    except ConfigError as error:
        summary(harmless(f"{asked.rule.path}: {error}", 600))
        return None


def _hunt(store: EventStore, span: Query, asked: Asked, limit: int, as_json: bool) -> Hunt:
    rule = asked.rule
    query = Query(asked.query, span.units, since=span.since, until=span.until)
    hunt = Hunt(store, query, lambda event: _match(asked, event) is not None)
    rows = (_row(asked, hit.source, hit.id) for hit in hunt.found(limit))
    if as_json:
        emit(rows)
    elif shown := list(rows):
        click.echo(f"{rule.level}  {harmless(rule.title, 300)}  [{rule.id}]")
        click.echo(f"by {harmless(rule.author, 300) or 'an unnamed author'}")
        columns = ("@timestamp", "unit", "host", "dataset", "event", "matched")
        table(columns, map(_cells, shown))
    if limit and hunt.hits == limit and hunt.candidates < hunt.total:
        summary(f"{rule.title}: the newest {number(limit)} hits; --limit shows more")
    return hunt


def _match(asked: Asked, event: Event) -> Match | None:
    return next((m for m in asked.engine.match(event) if m.rule.id == asked.rule.id), None)


def _rule_row(rule: Rule) -> dict[str, Any]:
    return {"rule": rule.id, "title": rule.title, "level": rule.level, "author": rule.author}


def _row(asked: Asked, event: Event, event_id: str) -> dict[str, Any]:
    match = _match(asked, event)
    return _rule_row(asked.rule) | {
        "@timestamp": event.get("@timestamp"),
        "event_id": event_id,
        "unit": event.get("samlog.unit"),
        "host": event.get("host.name"),
        "dataset": event.get("event.dataset"),
        "matched": matched(match.fields) if match else {},
    }


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    named = [str(row[key] or "") for key in ("@timestamp", "unit", "host", "dataset", "event_id")]
    return [*named, ", ".join(f"{name}={value}" for name, value in row["matched"].items())]
