"""The command ``samlog``: finds the verb, turns errors into sentences and exit codes."""

import difflib
import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from samlog import __version__, log
from samlog.errors import ConfigError, Exit, SamlogError, Unavailable

VERBS = {
    "alerts": "List, show, acknowledge and close alerts",
    "check": "Check a configuration and compile its rules; --connect asks the servers too",
    "completion": "Print the completion script of bash, zsh or fish",
    "demo": "Run the whole pipeline on shipped samples and show what happens",
    "detect": "Match files of logs against Sigma rules, without a server",
    "dlq": "List, show, replay and drop dead letters",
    "doctor": "Say what is wrong and what to do",
    "hunt": "Run Sigma rules over stored events",
    "init": "Print a commented starter configuration",
    "list": "List parsers, rules, sources and sinks",
    "parse": "Turn raw logs into ECS events on stdout, without a server",
    "rules": "Lint, test and explain Sigma rules",
    "run": "Run stages of the pipeline (none named: all of them)",
    "schema": "Print the JSON Schema of the configuration",
    "search": "Search stored events in Lucene syntax",
    "setup": "Create topics and index templates; repeatable, --dry-run shows",
    "stage": "",
    "version": "Print the version",
}
HIDDEN = {"stage"}


class _PipeClosed(Exception):
    """Whoever read our stdout left. Not an `OSError`, which click would turn into exit code 1."""


class Verbs(click.Group):
    """Imports a verb when it is used, so that ``samlog version`` needs no Kafka client."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(set(VERBS) - HIDDEN)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        try:
            module = import_module(f"samlog.cli.{cmd_name}_")
        except ImportError:
            pipeline = import_module("samlog.pipeline")
            pipeline.refuse_foreign_packages()
            raise
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise _PipeClosed from error
        return code

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None
            raise


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="\b\nExample: samlog demo\n\nSecurity log pipeline for a shared SOC.",
)
@click.option("-v", "--verbose", count=True, help="More log lines on stderr; may be repeated.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors on stderr.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours on stdout and stderr; NO_COLOR is obeyed.",
)
@click.version_option(__version__, prog_name="samlog")
@click.pass_context
def samlog(ctx: click.Context, verbose: int, quiet: bool, color: str) -> None:
    verbosity = -1 if quiet else verbose
    log.set_up(verbosity=verbosity)
    ctx.obj = {"verbosity": verbosity}
    if color != "auto":
        ctx.color = color == "always"
    elif os.environ.get("NO_COLOR"):
        ctx.color = False


def exit_code(error: SamlogError) -> Exit:
    """Returns the exit code that stands for an error (architecture: command line)."""
    if isinstance(error, ConfigError):
        return Exit.CONFIG
    if isinstance(error, Unavailable):
        return Exit.UNAVAILABLE
    return Exit.FAILED


def main() -> None:
    """Runs the command line; the only place where errors become exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal may be told to be latin-1; what it has not is escaped, not fatal.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = samlog.main(standalone_mode=False, prog_name="samlog")
        sys.exit(code if isinstance(code, int) else Exit.DONE)
    except click.exceptions.Abort:
        sys.exit(Exit.INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except _PipeClosed:
        # | head: that is no error. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        click.echo(f"samlog: {error.strerror or error}{where}; see: samlog doctor", err=True)
        sys.exit(Exit.FAILED)
    except SamlogError as error:
        for line in str(error).splitlines():
            click.echo(f"samlog: {log.harmless(line, 2000)}", err=True)
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
