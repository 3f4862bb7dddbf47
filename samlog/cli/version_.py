"""``samlog version``."""

import click

from samlog import __version__


@click.command(help="\b\nExample: samlog version\n\nPrint the version.")
def command() -> None:
    click.echo(__version__)
