"""``samlog doctor``: what is wrong, why, and what to type next."""

import click

from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option
from samlog.cli.doctor_checks import CHECKS, Finding, Surroundings
from samlog.errors import ConfigError, Exit

SEVEREST = (Exit.CONFIG, Exit.UNAVAILABLE, Exit.FAILED)


@click.command(
    help="\b\nExample: samlog doctor --config soc.yaml\n\n"
    "Look at configuration, disk, clock, bus, store, rules, sinks and running stages; say what is "
    "wrong and what to do. Exit 0 healthy, 1 findings, 69 a server is unreachable, 78 "
    "configuration."
)
@config_option
@json_option
def command(config: str | None, as_json: bool) -> int:
    findings = examine(config)
    if as_json:
        emit(finding.row() for finding in findings)
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding.exit == Exit.DONE else finding.mark()
            click.echo(f"{mark} {finding.about:8} {finding.what}")
            if finding.next:
                click.echo(f"{'':13} → {finding.next}")
    return next((code for code in SEVEREST if any(f.exit == code for f in findings)), Exit.DONE)


def examine(config: str | None) -> list[Finding]:
    """Returns what every check found, healthy ones too; stops early where nothing else can work."""
    try:
        pipeline.refuse_foreign_packages()
        loaded = pipeline.load_settings(config)
    except ConfigError as error:
        return [
            Finding("config", line, "mend it, then: samlog check", Exit.CONFIG)
            for line in str(error).splitlines()
        ]
    around = Surroundings(loaded.settings, pipeline.system_clock())
    try:
        return [finding for check in CHECKS for finding in check(around)]
    finally:
        around.close()
