"""``samlog rules backtest``: how often rules fire on kept logs, and what a change changed."""

from pathlib import Path

import click

from detect.backtest import Backtest, Change, Outcome, changes, read, write
from detect.engine import Engine
from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, number, summary, table
from samlog.cli.detect_ import Read, read_ecs, read_raw, reader_of_logs
from samlog.cli.files import read_files, rule_cache
from samlog.errors import BadEvent, ConfigError, Exit
from samlog.log import harmless


@click.command(
    "backtest",
    help="\b\nExample: samlog rules backtest my-rules/ january/*.evtx --baseline january.json\n"
    "Example: samlog rules backtest builtin auth.log --baseline auth.json --accept\n\n"
    "Count how often each rule fires on logs, and compare with a saved baseline. RULES is a file, "
    "a folder or builtin. Exit 1 when something fires more or less often than in the baseline, or "
    "the logs are not the same; --accept saves what is found now as the baseline. Overlays of "
    "units are left out.",
)
@click.argument("rules")
@click.argument("files", nargs=-1, required=True, metavar="FILE...|-")
@click.option("--baseline", type=click.Path(dir_okay=False, path_type=Path), help="JSON file.")
@click.option("--accept", is_flag=True, help="Write the baseline anew; exit 0.")
@click.option("--raw", is_flag=True, help="Rules' own field names on the JSON as it is.")
@click.option("--ecs", is_flag=True, help="The input is normalised already.")
@config_option
@json_option
def command(
    rules: str,
    files: tuple[str, ...],
    baseline: Path | None,
    accept: bool,
    raw: bool,
    ecs: bool,
    config: str | None,
    as_json: bool,
) -> int:
    if raw and ecs:
        raise click.UsageError("--raw and --ecs exclude each other")
    if accept and baseline is None:
        raise click.UsageError("--accept goes with --baseline")
    pipeline.refuse_foreign_packages()
    before = None if baseline is None or accept else read(baseline)
    engine = Engine.load(
        pipeline.rule_folders((rules,)),
        mode="raw" if raw else "ecs",
        cache_dir=rule_cache(),
        placeholders=pipeline.placeholders(config),
    )
    for error in engine.report.refused[:10]:
        summary(f"refused: {harmless(str(error), 600)}")
    if not engine.rules:
        raise ConfigError(f"no rule could be loaded from {rules}")
    reader = read_raw if raw else read_ecs if ecs else reader_of_logs(pipeline.system_clock())
    outcome = _run(engine, files, reader)
    found = (
        [] if before is None else changes(before, outcome, {r.id: r.title for r in engine.rules})
    )
    _show(outcome, found, before, as_json)
    if accept and baseline is not None:
        write(baseline, outcome)
        summary(f"saved as {baseline}")
    return Exit.FAILED if found or _other_input(before, outcome) else Exit.DONE


def _run(engine: Engine, files: tuple[str, ...], reader: Read) -> Outcome:
    test = Backtest(engine)
    for name, record in read_files(files):
        try:
            test.take(record, reader(name, record))
        except BadEvent:
            test.take(record, ())
    return test.end()


def _other_input(before: Outcome | None, after: Outcome) -> bool:
    return before is not None and before.input != after.input


def _show(outcome: Outcome, found: list[Change], before: Outcome | None, as_json: bool) -> None:
    titles, known = outcome.titles, {change.rule for change in found}
    same = [(rule, n) for rule, n in outcome.matches.most_common() if rule not in known]
    rows: list[tuple[object, ...]] = [
        (*change[:4], change.after - change.before, change.note) for change in found
    ]
    rows += [(rule, titles[rule], n if before else None, n, 0, "") for rule, n in same]
    columns = ("rule", "title", "before", "after", "change", "note")
    if as_json:
        emit(dict(zip(columns, row, strict=True)) for row in rows)
    else:
        table(columns, (["" if cell is None else cell for cell in row] for row in rows))
    if _other_input(before, outcome):
        summary("the logs are not those of the baseline: another file, order or content")
    summary(
        f"{number(outcome.events)} events · {number(outcome.rejected)} rejected · "
        f"{number(outcome.matches.total())} matches of {number(len(outcome.matches))} rules · "
        + (f"{number(len(found))} changes" if before else "no baseline to compare with")
    )
