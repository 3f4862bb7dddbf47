"""``samlog check``: is this configuration right, and do its rules compile?"""

import click

from samlog import pipeline
from samlog.bus.base import Bus
from samlog.cli.common import emit, json_option, summary, table
from samlog.clock import SystemClock
from samlog.configfile import Loaded
from samlog.errors import Exit, SamlogError


@click.command(
    help="\b\nExample: samlog check samlog.yaml --connect\n\n"
    "Check a configuration: every key, every rule. Exit 0 when it is right, 78 when not. "
    "Nothing is written."
)
@click.argument("file", required=False)
@click.option("--connect", is_flag=True, help="Also ask the bus, the store and the sinks.")
@click.option("--print", "show", is_flag=True, help="Show each value and where it came from.")
@click.option("--no-rules", is_flag=True, help="Do not compile the rules.")
@json_option
def command(file: str | None, connect: bool, show: bool, no_rules: bool, as_json: bool) -> int:
    loaded = pipeline.load_settings(file)
    pipeline.refuse_foreign_packages()
    if show:
        _print(loaded, as_json)
    refused = 0 if no_rules else _compile_rules(loaded)
    unreachable = _connect(loaded) if connect else 0
    if unreachable:
        return Exit.UNAVAILABLE
    summary(f"{loaded.files[0]}: right; {pipeline.describe(loaded.settings)}")
    return Exit.FAILED if refused else Exit.DONE


def _print(loaded: Loaded, as_json: bool) -> None:
    values = _flat(loaded.settings.model_dump(mode="json"))
    rows = [(name, value, loaded.origins.get(name, "default")) for name, value in values.items()]
    if as_json:
        emit({"key": key, "value": value, "from": origin} for key, value, origin in rows)
    else:
        table(("key", "value", "from"), rows)


def _flat(value: object, at: str = "") -> dict[str, object]:
    if isinstance(value, dict) and value:
        pairs = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and value:
        pairs = [(str(index), child) for index, child in enumerate(value)]
    else:
        return {at: value}
    found: dict[str, object] = {}
    for key, child in pairs:
        found |= _flat(child, f"{at}.{key}" if at else key)
    return found


def _compile_rules(loaded: Loaded) -> int:
    report = pipeline.load_rules(loaded.settings).report
    for error in report.refused:
        summary(f"refused: {error}")
    summary(f"rules: {len(report.loaded)} loaded, {len(report.refused)} refused")
    return len(report.refused)


def _connect(loaded: Loaded) -> int:
    clock = SystemClock()
    problems = []
    try:
        bus: Bus = pipeline.open_bus(loaded.settings, clock)
        present = bus.topics()
        missing = sorted(set(pipeline.all_topics(loaded.settings)) - present)
        bus.close()
        if missing:
            summary(f"bus: {len(missing)} topics are not there yet; create them: samlog setup")
        else:
            summary("bus: reached, all topics are there")
    except SamlogError as error:
        problems.append(f"bus: {error}")
    try:
        store = pipeline.open_store(loaded.settings, clock)
        health = store.check()
        store.close()
        problems += [] if health.reachable else [f"store: {p}" for p in health.problems]
        for problem in health.problems if health.reachable else ():
            summary(f"store: {problem}")
    except SamlogError as error:
        problems.append(f"store: {error}")
    problems += pipeline.check_sinks(loaded.settings)
    for problem in problems:
        summary(problem)
    return len(problems)
