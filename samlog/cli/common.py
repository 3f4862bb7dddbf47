"""What verbs share: the configuration option, NDJSON on stdout, tables for people."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.table import Table

from samlog.log import harmless

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
    shown = Table(title=title or None, box=None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, no_wrap=True, overflow="ellipsis")
    for row in rows:
        shown.add_row(*(harmless(str(cell), 300).replace("[", "\\[") for cell in row))
    console().print(shown)


def summary(line: str) -> None:
    """Prints the one line that ends a command's narration, on stderr."""
    click.echo(line, err=True)


def number(n: float) -> str:
    """Returns ``12,000``."""
    return f"{n:,.0f}"
