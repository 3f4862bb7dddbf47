"""Reads the files that are named on a command line, with a progress bar on a terminal."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ingest.content import read_lists
from ingest.split import Piece
from samlog.config import MIB
from samlog.errors import ConfigError


def rule_cache() -> Path | None:
    """Returns ``$XDG_CACHE_HOME/samlog/rules``, ``~/.cache`` when that is not set, if there is any.

    Compiled rules are kept there by content: all of SigmaHQ load in 0.8 s instead of 6 s.
    """
    home = os.environ.get("HOME")
    base = os.environ.get("XDG_CACHE_HOME") or (home and f"{home}/.cache")
    return Path(base) / "samlog" / "rules" if base else None


def read_files(paths: tuple[str, ...], limit: int = MIB) -> Iterator[tuple[str, bytes]]:
    """Yields (name, record) of .evtx, .json, .ndjson, .log and .gz files; ``-`` is stdin.

    A record is cut at ``limit`` bytes. Raises `ConfigError` for a file that cannot be read.
    """
    for name, pieces in read_file_lists(paths, limit):
        for piece in pieces:
            yield f"{name}:{piece.offset}", piece.value


def read_file_lists(
    paths: tuple[str, ...], limit: int = MIB
) -> Iterator[tuple[str, Sequence[Piece]]]:
    """Yields (file's name, its next records), as many as were read at once; see `read_files`."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        for name in paths or ("-",):
            if name == "-":
                yield from (("stdin", (piece,)) for piece in _stdin(limit))
                continue
            path = Path(name)
            try:
                size = None if path.suffix == ".gz" else path.stat().st_size
                task = progress.add_task(path.name, total=size)
                for pieces in read_lists(path, limit):
                    if pieces:
                        progress.update(task, completed=pieces[-1].end)
                        yield path.name, pieces
                progress.remove_task(task)
            except OSError as error:
                raise ConfigError(f"cannot be read: {error.strerror}", path=name) from error


def _stdin(limit: int) -> Iterator[Piece]:
    """Yields the lines, numbered: at once, for whoever writes them may wait for the answer."""
    number = 0
    while line := sys.stdin.buffer.readline(limit + 1):
        if len(line) > limit and not line.endswith(b"\n"):
            while (rest := sys.stdin.buffer.readline(MIB)) and not rest.endswith(b"\n"):
                continue
        text = line.rstrip(b"\r\n")[:limit]
        if text:
            yield Piece(number, number, text)
        number += 1
