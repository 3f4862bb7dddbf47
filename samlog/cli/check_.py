"""``samlog check``: is this configuration right, and do its rules compile?"""

from pathlib import Path

import click

from detect.placeholders import read_placeholders
from samlog import pipeline
from samlog.cli import doctor_local, doctor_servers, doctor_sinks
from samlog.cli.common import emit, json_option, summary, table
from samlog.cli.finding import Surroundings, look, tell, verdict
from samlog.clock import SystemClock
from samlog.configfile import Loaded
from samlog.errors import Exit

CONNECT = (doctor_servers.check_bus, doctor_servers.check_store, doctor_sinks.check_sinks)


@click.command(
    help="\b\nExample: samlog check samlog.yaml --connect\n\n"
    "Check a configuration: every key, every rule. Exit 0 when it is right, 1 when a rule is "
    "refused or a part is not ready, 69 when a server is unreachable, 78 when the configuration "
    "is wrong. Nothing is written but the cache of compiled rules."
)
@click.argument("file", required=False)
@click.option("--connect", is_flag=True, help="Also ask the bus, the store and the sinks.")
@click.option("--print", "show", is_flag=True, help="Show each value and where it came from.")
@click.option("--no-rules", is_flag=True, help="Do not compile the rules.")
@json_option
def command(file: str | None, connect: bool, show: bool, no_rules: bool, as_json: bool) -> int:
    pipeline.refuse_foreign_packages()
    loaded = pipeline.load_settings(file)
    pipeline.check_parsers(loaded.settings)
    if show:
        _print(loaded, as_json)
    refused = 0 if no_rules else _compile_rules(loaded)
    code = _connect(loaded, as_json) if connect else Exit.DONE
    if code not in (Exit.CONFIG, Exit.UNAVAILABLE):
        summary(f"{loaded.files[0]}: right; {pipeline.describe(loaded.settings)}")
    return code or (Exit.FAILED if refused else Exit.DONE)


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
    """Tells about rules; returns how many are refused or missing."""
    settings = loaded.settings
    folders = zip(settings.rules, pipeline.rule_paths(settings), strict=True)
    missing = {name: str(folder) for name, folder in folders if not folder.exists()}
    for name in missing:
        summary(f"rules: {name} is not there: {doctor_local.missing_rules(name)}")
    rules = pipeline.load_rule_set(settings)
    report = rules.engine.report
    for name, values in read_placeholders(settings.placeholders).items():
        source = settings.placeholders[name]
        where = f" ({source})" if isinstance(source, Path) else ""
        summary(f"placeholder %{name}%: {len(values)} values{where}")
    refused = [error for error in rules.refused if error.path not in missing.values()]
    for error in refused:
        summary(f"refused: {error}")
    for entry in rules.overlays.expired(pipeline.system_clock().now().date()):
        summary(f"expired: {doctor_local.expired_entry(entry)}")
    told = f", {len(report.unmapped)} have no mapping yet" if report.unmapped else ""
    summary(f"rules: {len(report.loaded)} loaded, {len(refused)} refused{told}")
    return len(refused) + len(missing) + (not report.loaded)


def _connect(loaded: Loaded, as_json: bool) -> Exit:
    around = Surroundings(loaded.settings, SystemClock())
    try:
        findings = look(CONNECT, around)
    finally:
        around.close()
    tell(findings, as_json=as_json)
    return verdict(findings)
