"""``samlog completion``: the shell's completion script."""

import click
from click.shell_completion import get_completion_class

from samlog.errors import Exit


@click.command(
    help="\b\nExample: samlog completion bash > /etc/bash_completion.d/samlog\n\n"
    "Print the completion script of a shell."
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    from samlog.cli.__main__ import samlog

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(samlog, {}, "samlog", "_SAMLOG_COMPLETE").source())
    return Exit.DONE
