"""``samlog init``: the configuration of the first day."""

from importlib.resources import files

import click

from samlog.errors import Exit


@click.command(
    help="\b\nExample: samlog init > samlog.yaml\n\n"
    "Print a commented starter configuration: everything on this machine, nothing to install."
)
def command() -> int:
    click.echo(files("samlog").joinpath("starter.yaml").read_text("utf-8"), nl=False)
    return Exit.DONE
