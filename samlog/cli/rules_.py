"""``samlog rules``: are these rules right, do they fire on their samples, and why not?"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from detect.document import read_file, rule_files
from detect.engine import Engine
from detect.explain import Explainer
from detect.lint import lint as findings_of
from detect.trial import Trial, trials
from samlog import pipeline
from samlog.cli.common import Examples, config_option, emit, json_option, number, summary
from samlog.cli.detect_ import Read, read_ecs, reader_of_logs
from samlog.cli.files import read_files
from samlog.cli.rules_backtest import command as backtest
from samlog.cli.rules_coverage import command as coverage
from samlog.cli.rules_stats import stats, suppressed
from samlog.cli.rules_tree import row, show
from samlog.errors import BadEvent, ConfigError, Exit
from samlog.event import Event
from samlog.log import harmless


@click.group(
    cls=Examples,
    name="rules",
    help="\b\nExample: samlog rules lint sigma/rules\n\nLint, test and explain Sigma rules.",
)
def command() -> None:
    pass


for verb in (backtest, coverage, stats, suppressed):
    command.add_command(verb)


def paths_argument(function: Any) -> Any:
    return click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(exists=True))(
        function
    )


@command.command(
    "lint",
    help="\b\nExample: samlog rules lint sigma/rules\n"
    "Example: samlog rules lint --strict my-rules/\n\n"
    "Say everything that is wrong with rules, each with file and line. PATH is a file or folder "
    "[builtin]. Exit 0 without findings, else 1.",
)
@paths_argument
@click.option("--strict", is_flag=True, help="Also what samlog asks of its own rules (R-32).")
@config_option
@json_option
def lint(paths: tuple[str, ...], strict: bool, config: str | None, as_json: bool) -> int:
    pipeline.refuse_foreign_packages()
    clock = pipeline.system_clock()
    started = clock.monotonic_s()
    roots = pipeline.rule_folders(paths or (pipeline.BUILTIN_RULES,))
    values = pipeline.placeholders(config)
    findings, built = findings_of(roots, strict=strict or not paths, placeholders=values)
    if as_json:
        emit(finding._asdict() for finding in findings)
    else:
        for finding in findings:
            click.echo(harmless(str(finding), 600))
    report = built.report
    summary(
        f"{number(len(report.loaded))} rules loaded · "
        f"{number(len(built.correlations))} correlations · {number(len(report.refused))} refused · "
        f"{number(len(report.unmapped))} without a mapping · {number(len(findings))} findings · "
        f"{clock.monotonic_s() - started:.1f} s"
    )
    return Exit.FAILED if findings else Exit.DONE


@command.command(
    "test",
    help="\b\nExample: samlog rules test\n"
    "Example: samlog rules test my-rules/\n\n"
    "Run rules over their samples: <rule>.match.<ext> must fire on each record, "
    "<rule>.nomatch.<ext> on none. Samples are raw logs beside the rule or in a folder samples. "
    "Exit 1 when one fails; of samlog's own rules, and with --strict, also one without samples.",
)
@paths_argument
@click.option("--strict", is_flag=True, help="A rule without samples fails.")
@config_option
@json_option
def test(paths: tuple[str, ...], strict: bool, config: str | None, as_json: bool) -> int:
    pipeline.refuse_foreign_packages()
    clock = pipeline.system_clock()
    started = clock.monotonic_s()
    read, values = reader_of_logs(clock), pipeline.placeholders(config)
    counts = {"ok": 0, "FAIL": 0, "?": 0, "refused": 0}
    records = 0
    for root in pipeline.rule_folders(paths or (pipeline.BUILTIN_RULES,)):
        engine = Engine.load([root], placeholders=values)
        for error in engine.report.refused:
            counts["refused"] += 1
            summary(f"refused: {harmless(str(error), 600)}")
        before = clock.monotonic_s()
        for trial in trials(root, engine, lambda file: sample_records(file, read)):
            now = clock.monotonic_s()
            counts[trial.verdict] += 1
            records += trial.records
            _tell(trial, now - before, as_json)
            before = now
    summary(
        f"{counts['ok']} ok · {counts['FAIL']} FAIL · {counts['?']} without samples · "
        f"{counts['refused']} refused · {number(records)} records · "
        f"{clock.monotonic_s() - started:.1f} s"
    )
    bad = counts["FAIL"] + counts["refused"] + (counts["?"] if strict or not paths else 0)
    return Exit.FAILED if bad else Exit.DONE


def sample_records(file: Path, read: Read) -> Iterator[tuple[str, list[Event]]]:
    """Yields (``file:record``, events) of a sample; no events where the record is rejected."""
    for n, (_, record) in enumerate(read_files((str(file),)), 1):
        name = f"{file.name}:{n}"
        try:
            yield name, read(name, record)
        except BadEvent:
            yield name, []


def _tell(trial: Trial, seconds: float, as_json: bool) -> None:
    rule = trial.rule
    if as_json:
        row = {"verdict": trial.verdict, "rule": rule.id, "title": rule.title, "path": rule.path}
        emit([row | {"records": trial.records, "problems": list(trial.problems)}])
        return
    colour = {"ok": "green", "FAIL": "red"}.get(trial.verdict, "yellow")
    missing = [kind for kind, files in trial.samples._asdict().items() if not files]
    note = f"no samples ({' and '.join(missing)})" if missing else f"{trial.records} records"
    verdict = click.style(f"{trial.verdict:4}", fg=colour)
    click.echo(f"{verdict} {seconds * 1000:6.0f} ms  {rule.path}  {note}")
    for problem in trial.problems:
        click.echo(f"       {harmless(problem, 300)}")


@command.command(
    "explain",
    help="\b\nExample: samlog rules explain windows_shadow_copies_deleted event.json\n"
    "Example: samlog rules explain my-rule.yml --ecs stored.ndjson\n\n"
    "Show a rule's condition as a tree: which parts held on an event, which failed, and the values "
    "that were looked at; then the filters and overlay entries of the configuration that name it, "
    "and whether one takes the match away. RULE is a file, or an id or file name of the rules that "
    "are configured [builtin]. EVENTFILE holds raw logs; - is stdin.",
)
@click.argument("rule")
@click.argument("eventfile")
@click.option("--ecs", is_flag=True, help="The input is normalised already.")
@click.option("--limit", default=5, show_default=True, help="Explain at most this many events.")
@config_option
@json_option
def explain(
    rule: str, eventfile: str, ecs: bool, limit: int, config: str | None, as_json: bool
) -> int:
    pipeline.refuse_foreign_packages()
    explainer = _explainer(rule, config)
    read: Read = read_ecs if ecs else reader_of_logs(pipeline.system_clock())
    shown = fired = told = 0
    for name, event in _events(eventfile, read):
        if shown == limit:
            summary(f"only the first {limit} events are explained; --limit shows more")
            break
        shown += 1
        found = explainer.explain(event)
        fired += found.fires
        told += found.told
        if as_json:
            emit([row(name, found)])
        else:
            show(name, found, event)
    if not shown:
        raise ConfigError("holds no event", path=eventfile)
    silent = f" · not told {fired - told}" if fired > told else ""
    summary(f"explained {shown} · fires on {fired}{silent}")
    return Exit.DONE


def _explainer(rule: str, config: str | None) -> Explainer:
    """Returns what explains a rule, among the filters and overlays that are configured."""
    file, rule_id = find_rule(rule, config)
    values = pipeline.placeholders(config)
    around = None
    if config:
        around = pipeline.load_rule_set(pipeline.load_settings(config).settings)
    today = pipeline.system_clock().now().date()
    return Explainer(file, rule_id, values, around, today)


def configured_roots(config: str | None) -> list[Path]:
    """Returns where the configured rules are; samlog's own without a configuration."""
    if config:
        return list(pipeline.rule_paths(pipeline.load_settings(config).settings))
    return pipeline.rule_folders((pipeline.BUILTIN_RULES,))


def find_rule(name: str, config: str | None) -> tuple[Path, str]:
    """Returns (file, id) of a rule by its file, the beginning of its id, or its file's name.

    Raises `ConfigError` where there is none or several.
    """
    if Path(name).is_file():
        return Path(name), ""
    roots = configured_roots(config)
    ids = re.compile(rb"^id: *['\"]?(" + re.escape(name.lower().encode()) + rb"[0-9a-f-]*)", re.M)
    found: list[tuple[Path, str]] = []
    for path in (path for root in roots for path in rule_files(root)):
        if path.stem == name:
            return path, ""
        found += [(path, match.decode()) for match in ids.findall(read_file(path).lower())]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} rules have an id that begins so" if found else "no rule is called so"
    raise ConfigError(f"'{name}': {what}; see: samlog list rules")


def _events(file: str, read: Read) -> Iterator[tuple[str, Event]]:
    for name, record in read_files((file,)):
        try:
            events = read(name, record)
        except BadEvent as bad:
            summary(f"rejected {name}: {harmless(str(bad))}")
            continue
        for event in events:
            yield name, event
