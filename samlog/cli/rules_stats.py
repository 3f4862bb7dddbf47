"""``samlog rules stats`` and ``suppressed``: what rules did in the running deployment."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from detect.engine import SAMPLE
from detect.ledger import Books
from detect.overlay import Entry
from detect.reload import RuleSet
from samlog import pipeline, status
from samlog.cli.common import check_units, config_option, emit, json_option, number, summary, table
from samlog.config import Settings
from samlog.errors import Exit

Row = dict[str, Any]


@click.command(
    "stats",
    help="\b\nExample: samlog rules stats\n"
    "Example: samlog rules stats --unit enheda --days 7 --json\n\n"
    "Show what rules did: matches, suppressed matches, time; which rule is set aside, which "
    "overlay entries are in force or have expired, which rule set each process works with. Counts "
    "are those of detect processes on this machine, by day (UTC). Time is sampled.",
)
@click.option("--unit", help="Only matches of this unit.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400), help="So long.")
@click.option("--all", "everything", is_flag=True, help="Also rules that never fired.")
@config_option
@json_option
def stats(unit: str | None, days: int, everything: bool, config: str | None, as_json: bool) -> int:
    pipeline.refuse_foreign_packages()
    settings = pipeline.load_settings(config).settings
    check_units(settings, [unit or ""])
    today = pipeline.system_clock().now().date()
    books = Books(settings.state_path)
    loaded = pipeline.load_rule_set(settings)
    rows = list(_rules(books, loaded, (today - timedelta(days=days - 1)).isoformat(), unit))
    if not everything:
        rows = [row for row in rows if row["matches"] or row["suppressed"] or row["set_aside"]]
    overlays = [overlay_row(e, e.is_active(today), e in loaded.overlays.expired(today))
                for e in loaded.overlays.entries if unit in (None, e.unit)]  # fmt: skip
    processes = list(_processes(settings, books))
    if as_json:
        for kind, found in (("rule", rows), ("overlay", overlays), ("process", processes)):
            emit({"kind": kind, **row} for row in found)
    else:
        _show(rows, overlays, processes)
    for error in loaded.overlays.refused:
        summary(f"refused: {error}")
    for problem in books.problems:
        summary(f"not read: {problem}")
    expired = sum(row["state"] == "expired" for row in overlays)
    summary(
        f"{number(len(rows))} rules · {number(sum(row['matches'] for row in rows))} matches · "
        f"{number(sum(row['suppressed'] for row in rows))} suppressed · "
        f"{number(sum(bool(row['set_aside']) for row in rows))} set aside · "
        f"{number(expired)} overlay entries expired"
    )
    return Exit.DONE


def _rules(books: Books, loaded: RuleSet, since: str, unit: str | None) -> Iterator[Row]:
    matches, suppressed = Counter[str](), Counter[str]()
    where, arguments = ("AND unit = ?", (since, unit)) if unit else ("", (since,))
    for counts, name in ((matches, "matches"), (suppressed, "suppressions")):
        query = f"SELECT rule, SUM(n) FROM {name} WHERE day >= ? {where} GROUP BY rule"  # noqa: S608 our words
        for rule, n in books.rows(query, arguments):
            counts[rule] += n
    calls, spent = Counter[str](), Counter[str]()
    query = "SELECT rule, SUM(calls), SUM(ns) FROM times WHERE day >= ? GROUP BY rule"
    for rule, n, ns in books.rows(query, (since,)):
        calls[rule] += n
        spent[rule] += ns
    aside = dict(books.rows("SELECT rule, why FROM aside"))
    titles = {rule.id: rule.title for rule in loaded.engine.rules}
    gone = {*matches, *suppressed, *aside} - titles.keys()
    rules = [*titles, *sorted(gone)]
    for rule in sorted(rules, key=lambda r: (-matches[r], -suppressed[r], titles.get(r, ""))):
        yield {
            "rule": rule,
            "title": titles.get(rule, "(not loaded any more)"),
            "matches": matches[rule],
            "suppressed": suppressed[rule],
            "mean_us": round(spent[rule] / calls[rule] / 1e3, 1) if calls[rule] else None,
            "seconds": round(spent[rule] * SAMPLE / 1e9, 1),
            "exceptions": int(rule in aside and not aside[rule].startswith("took ")),
            "set_aside": aside.get(rule, ""),
        }


def overlay_row(entry: Entry, active: bool, expired: bool) -> Row:
    """Returns an overlay entry for people and for JSON."""
    return {
        "unit": entry.unit,
        "entry": entry.id,
        "action": entry.action,
        "rules": sorted(entry.rules),
        "state": "active" if active else "expired" if expired else "not yet",
        "since": entry.since.isoformat(),
        "expires": entry.expires.isoformat(),
        "owner": entry.owner,
        "reason": entry.reason,
        "where": f"{entry.path}:{entry.line}",
    }


def _processes(settings: Settings, books: Books) -> Iterator[Row]:
    told = status.read_all(settings.state_path)
    for process in books.names:
        facts = dict(books.of(process, "SELECT name, value FROM facts"))
        if facts:
            yield {
                "process": process,
                "version": facts["version"],
                "sha256": facts["sha256"],
                "rules": int(facts["rules"]),
                "loaded": facts["loaded"],
                "problem": str(told.get(process, {}).get("rules_problem", "")),
            }


def _show(rows: list[Row], overlays: list[Row], processes: list[Row]) -> None:
    for title, found in (("", rows), ("Overlays", overlays), ("Rule sets in force", processes)):
        if found:
            cells = ([_cell(v) for v in row.values()] for row in found)
            table(tuple(found[0]), cells, title=title)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@click.command(
    "suppressed",
    help="\b\nExample: samlog rules suppressed --unit enheda\n"
    "Example: samlog rules suppressed --rule 6f3e2987-db24-4c78-a860-b4f4095a7095 --json\n\n"
    "List matches that were not told, newest first: by which filter or overlay entry, whose it is "
    "and why. Each detect process keeps the last 20,000 in its state folder on its machine; the "
    "events themselves are in the store, under the id that is shown.",
)
@click.option("--unit", help="Only of this unit.")
@click.option("--rule", help="Only of this rule (id).")
@click.option("--entry", help="Only by this filter or overlay entry (id).")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="At most this many.",
)
@config_option
@json_option
def suppressed(
    unit: str | None,
    rule: str | None,
    entry: str | None,
    limit: int,
    config: str | None,
    as_json: bool,
) -> int:
    pipeline.refuse_foreign_packages()
    settings = pipeline.load_settings(config).settings
    check_units(settings, [unit or ""])
    books = Books(settings.state_path)
    columns = ("detected", "unit", "title", "kind", "entry", "owner", "reason", "event_id",
               "stream", "timestamp", "rule", "id")  # fmt: skip
    asked = {
        name: value for name, value in (("unit", unit), ("rule", rule), ("entry", entry)) if value
    }
    where = " AND ".join(f"{name} = ?" for name in asked) or "1"
    listed = (
        f"SELECT {', '.join(columns)} FROM suppressed WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608 our words
    )
    found = books.rows(listed, (*asked.values(), limit))
    found.sort(key=lambda row: row[0], reverse=True)
    if as_json:
        emit(dict(zip(columns, row, strict=True)) for row in found[:limit])
    else:
        table(columns, found[:limit])
    for problem in books.problems:
        summary(f"not read: {problem}")
    counted = f"SELECT COALESCE(SUM(n), 0) FROM suppressions WHERE {where}"  # noqa: S608 our words
    total = sum(n for (n,) in books.rows(counted, tuple(asked.values())))
    summary(f"{number(len(found[:limit]))} of {number(total)} suppressed matches")
    return Exit.DONE
