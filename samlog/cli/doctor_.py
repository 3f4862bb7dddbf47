"""``samlog doctor``: what is wrong, why, and what to type next."""

from collections.abc import Callable
from pathlib import Path

import click

from samlog import pipeline
from samlog.cli import doctor_local, doctor_servers
from samlog.cli.common import config_option, json_option, summary
from samlog.cli.finding import Finding, Surroundings, free_bytes, look, tell, verdict
from samlog.clock import Clock
from samlog.errors import ConfigError, Exit

CHECKS = (*doctor_local.CHECKS, *doctor_servers.CHECKS)


@click.command(
    help="\b\nExample: samlog doctor --config soc.yaml\n\n"
    "Look at configuration, disk, ports, sources, rules, sinks, running stages, bus, store and "
    "clock; say what is wrong and what to do. Exit 0 healthy, 1 findings, 69 a server is "
    "unreachable, 78 configuration."
)
@click.option(
    "--doubles", is_flag=True, help="Also look for events stored twice (reads all of them)."
)
@config_option
@json_option
def command(doubles: bool, config: str | None, as_json: bool) -> int:
    findings = examine(config, pipeline.system_clock(), doubles=doubles)
    tell(findings, as_json=as_json)
    wrong = sum(finding.exit != Exit.DONE for finding in findings)
    if not as_json:
        summary(f"{wrong} of {len(findings)} findings need attention" if wrong else "healthy")
    return verdict(findings)


def examine(
    config: str | None,
    clock: Clock,
    *,
    doubles: bool = False,
    free: Callable[[Path], int] = free_bytes,
) -> list[Finding]:
    """Returns what every check found, healthy ones too; stops early where nothing else can work."""
    try:
        pipeline.refuse_foreign_packages()
    except ConfigError as error:
        step = "unset PYTHONPATH, or: python3 -m venv samlog && samlog/bin/pip install ./samlog"
        return [Finding("install", str(error), step, Exit.CONFIG)]
    try:
        loaded = pipeline.load_settings(config)
        pipeline.check_parsers(loaded.settings)
    except ConfigError as error:
        step = f"correct it, then: samlog check {config or ''}".rstrip()
        if "samlog init" in str(error):
            step = f"samlog init > {config or 'samlog.yaml'}"
        lines = str(error).splitlines()
        return [Finding("config", line, step, Exit.CONFIG) for line in lines]
    around = Surroundings(loaded.settings, clock, free=free, doubles=doubles)
    try:
        return [Finding("config", f"{loaded.files[0]}: right"), *look(CHECKS, around)]
    finally:
        around.close()
