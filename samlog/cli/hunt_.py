"""``samlog hunt``: a rule over the events that are stored already."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import click

from detect.build import Built, build
from detect.detection import matched
from detect.document import read_file
from detect.engine import Engine, Match
from detect.rule import Rule
from detect.search.query import queries
from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.cli.files import rule_cache
from samlog.cli.rules_ import configured_roots, find_rule
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


class _Rules(NamedTuple):
    """Rules that were built together, and which of them are asked: those of a file, with an id."""

    built: Built
    engine: Engine
    file: Path | None = None
    sha256: str = ""
    rule_id: str = ""

    def wanted(self, rule: Rule) -> bool:
        return not self.file or (rule.sha256 == self.sha256 and rule.id.startswith(self.rule_id))


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
    for rules in _rule_sets(names, config):
        problems += _problems(rules)
        for query in queries(rules.built, widen=widen, wanted=rules.wanted):
            if query.error is not None:
                problems.append(f"{query.rule.path}: {query.error}")
            else:
                found.append(Asked(query.rule, query.text, rules.engine))
    for problem in problems[:MAX_TOLD]:
        summary(harmless(problem, 600))
    if len(problems) > MAX_TOLD:
        summary(f"and {number(len(problems) - MAX_TOLD)} more")
    if not found:
        raise ConfigError(f"no rule of {', '.join(names)} can be searched for")
    return found


def _rule_sets(names: Sequence[str], config: str | None) -> Iterator[_Rules]:
    """Yields the rules of a file or folder, or of those that are configured the one with a name.

    The latter are built together, once: another file's filters may leave events out of a rule.
    """
    values = pipeline.placeholders(config)
    configured: tuple[Built, Engine] | None = None
    for name in names:
        if Path(name).exists():
            built = build([Path(name)], mode="ecs", placeholders=values)
            yield _Rules(built, Engine(built, mode="ecs"))
            continue
        path, rule_id = find_rule(name, config)
        if configured is None:
            roots = configured_roots(config)
            built = build(roots, mode="ecs", placeholders=values, cache_dir=rule_cache())
            configured = built, Engine(built, mode="ecs")
        yield _Rules(*configured, path, sha256(read_file(path)).hexdigest(), rule_id)


def _problems(rules: _Rules) -> Iterator[str]:
    report = rules.built.report
    for error in report.refused:
        if rules.file is None or error.path == str(rules.file):
            yield f"refused: {error}"
    for unmapped in report.unmapped:
        if rules.wanted(unmapped.rule):
            yield f"{unmapped.rule.path}: no such events here: {unmapped.detail}"


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
