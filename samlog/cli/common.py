"""What verbs share: the configuration option, NDJSON on stdout, tables for people."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from samlog.config import Settings
from samlog.errors import ConfigError
from samlog.log import harmless
from samlog.store.base import PLATFORM_UNIT

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


class Examples(click.Group):
    """A group whose list of commands says what each does; its help starts with examples."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, purpose(command)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def purpose(command: click.Command) -> str:
    """Returns the first sentence behind the examples of a command's help."""
    paragraphs = (command.help or "").split("\n\n")
    told = next((p for p in paragraphs if not p.startswith("\b")), "")
    return told.partition(". ")[0].rstrip(".")


def config_option(function: Wrapped) -> Wrapped:
    """Adds ``--config``; without it the usual places are searched."""
    return click.option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file or folder. [env: SAMLOG_CONFIG; else ./samlog.yaml, "
        "~/.config/samlog/config.yaml, /etc/samlog/config.yaml]",
    )(function)


def json_option(function: Wrapped) -> Wrapped:
    """Adds ``--json``: NDJSON with stable keys on stdout instead of a table."""
    return click.option("--json", "as_json", is_flag=True, help="NDJSON with stable keys.")(
        function
    )


def emit(rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows as NDJSON on stdout, as they come."""
    out = sys.stdout.buffer
    for row in rows:
        out.write(orjson.dumps(row, default=str) + b"\n")
    out.flush()


class Quiet(Console):
    """A console that leaves a closed pipe to `samlog.cli.__main__`, as everything else does."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Returns the console for stdout, coloured as ``--color`` and NO_COLOR say."""
    context = click.get_current_context(silent=True)
    colour = context.color if context else None
    # Into a pipe nothing is cut: whoever reads it there wants whole values.
    return Quiet(
        width=None if sys.stdout.isatty() else 4_000,
        force_terminal=True if colour else None,
        no_color=True if colour is False else None,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Prints a table for people; cell text is made harmless, long text is cut by the terminal."""
    # Text and not str: of a str rich obeys [markup] and replaces :names: of emoji.
    heading = Text(title) if title else None
    shown = Table(title=heading, box=None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(Text(column), no_wrap=True, overflow="ellipsis")
    for row in rows:
        shown.add_row(*(Text(harmless(str(cell), 300)) for cell in row))
    console().print(shown)


def check_units(settings: Settings, units: Iterable[str]) -> None:
    """Raises `ConfigError` for a unit that the configuration does not have; "" is none asked for.

    Alerts may be of the platform, dead letters of nobody (``-``).
    """
    for unit in units:
        if unit not in ("", "-", PLATFORM_UNIT, *settings.units):
            raise ConfigError(f"unknown unit '{unit}'; known: {', '.join(settings.units)}")


def summary(line: str) -> None:
    """Prints the one line that ends a command's narration, on stderr."""
    click.echo(line, err=True)


def number(n: float) -> str:
    """Returns ``12,000``."""
    return f"{n:,.0f}"
