"""``samlog setup``: what servers need before the first event."""

import click

from samlog import pipeline
from samlog.cli.common import config_option, summary
from samlog.clock import SystemClock
from samlog.errors import Exit


@click.command(
    help="\b\nExample: samlog setup --dry-run --config soc.yaml\n\n"
    "Create topics and index templates of the configured units. Repeating it changes nothing."
)
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def command(config: str | None, dry_run: bool) -> int:
    settings = pipeline.load_settings(config).settings
    clock = SystemClock()
    bus = pipeline.open_bus(settings, clock)
    missing = sorted(set(pipeline.all_topics(settings)) - bus.topics())
    if not dry_run:
        bus.create_topics(missing)
    bus.close()
    store = pipeline.open_store(settings, clock, writer=not dry_run)
    done = store.setup(list(settings.units), dry_run=dry_run)
    store.close()
    would = "would create" if dry_run else "created"
    for line in [*(f"{would} topic {name}" for name in missing), *done]:
        click.echo(line)
    if not missing and not done:
        summary("everything is there already")
    return Exit.DONE
