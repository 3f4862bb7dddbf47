"""``samlog rules coverage``: which rules can fire in a unit, and which cannot."""

from collections.abc import Iterator, Mapping

import click

from detect.coverage import Delivered, Reach, by_product, coverage, kind_of
from detect.engine import Engine
from detect.filters import contains
from detect.ledger import Books
from detect.rule import LogSource
from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.config import Settings
from samlog.errors import ConfigError, Exit


@click.command(
    "coverage",
    help="\b\nExample: samlog rules coverage --unit enheda\n"
    "Example: samlog rules coverage --unit enheda --rules\n\n"
    "Say per product how many rules can fire in a unit, and which cannot fire here: no source of "
    "the unit delivers their events (no_source) or a field that they need (no_field), or samlog "
    "has no mapping for them. A source counts when its events were seen by a detect process of "
    "this machine, or when it is configured with its parser (source:). Exit 0.",
)
@click.option("--unit", help="Only this unit. [all]")
@click.option("--rules", "listed", is_flag=True, help="List the rules that cannot fire, with why.")
@config_option
@json_option
def command(unit: str | None, listed: bool, config: str | None, as_json: bool) -> int:
    pipeline.refuse_foreign_packages()
    settings = pipeline.load_settings(config).settings
    if unit is not None and unit not in settings.units:
        raise ConfigError(f"unit '{unit}' is not among units ({', '.join(settings.units)})")
    engine = pipeline.load_rules(settings)
    books = Books(settings.state_path)
    for name in [unit] if unit else settings.units:
        delivered = seen(books, name)
        delivered.configured = configured(settings, name, engine)
        found = coverage(engine.built, delivered)
        if as_json:
            rows = _rules(name, found) if listed else _products(name, found)
            emit(rows)
        else:
            _show(name, found, listed)
        _tell(settings, name, found, delivered)
    for problem in books.problems:
        summary(f"not read: {problem}")
    return Exit.DONE


def seen(books: Books, unit: str) -> Delivered:
    """Returns what detect processes of this machine have seen of a unit."""
    found = Delivered()
    query = "SELECT product, category, service, n FROM seen WHERE unit = ?"
    for product, category, service, n in books.rows(query, (unit,)):
        found.events[product, category, service] += n
    query = "SELECT product, category, service, field FROM fields WHERE unit = ?"
    for product, category, service, name in books.rows(query, (unit,)):
        found.fields[product, category, service].add(name)
    return found


def configured(settings: Settings, unit: str, engine: Engine) -> set[LogSource]:
    """Returns the kinds of events that sources of a unit name by their parser."""
    from normalize.registry import load_parsers

    hints = {source.source for source in settings.sources if source.unit == unit} - {""}
    wide = [
        _logsource(logsource)
        for parser in load_parsers()
        if parser.NAME in hints or not hints.isdisjoint(parser.HINTS)
        for logsource in parser.LOGSOURCES
    ]
    kinds = map(kind_of, engine.built.sources)
    return {kind for kind in kinds if any(contains(one, kind) for one in wide)}


def _logsource(words: Mapping[str, str]) -> LogSource:
    return words.get("product", ""), words.get("category", ""), words.get("service", "")


def _products(unit: str, found: list[Reach]) -> Iterator[dict[str, object]]:
    return ({"unit": unit, **row} for row in by_product(found))


def _rules(unit: str, found: list[Reach]) -> Iterator[dict[str, object]]:
    return (
        {
            "unit": unit,
            "rule": reach.rule.id,
            "title": reach.rule.title,
            "level": reach.rule.level,
            "logsource": " ".join(filter(None, reach.rule.logsource)),
            "why": reach.verdict,
            "detail": reach.detail,
        }
        for reach in found
        if not reach.can_fire
    )


def _show(unit: str, found: list[Reach], listed: bool) -> None:
    rows = list(_rules(unit, found) if listed else _products(unit, found))
    if rows:
        cells = ([cell for name, cell in row.items() if name != "unit"] for row in rows)
        table([name for name in rows[0] if name != "unit"], cells, title=unit)


def _tell(settings: Settings, unit: str, found: list[Reach], delivered: Delivered) -> None:
    can = sum(reach.can_fire for reach in found)
    summary(
        f"{unit}: {number(can)} of {number(len(found))} rules can fire; "
        f"{number(len(found) - can)} cannot fire here (--rules lists them)"
    )
    if not delivered.events:
        summary(f"{unit}: no event was seen yet by a detect process of this machine")
    open_ = [s for s in settings.sources if s.unit == unit and not s.source]
    if open_:
        summary(
            f"{unit}: {len(open_)} sources name no parser (source:); what they deliver counts "
            "when it is seen"
        )
