"""Which files the configured patterns name, and whether they name one that is not there now."""

import glob
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from ingest.checkpoint import Key
from ingest.tail import key_of

Warn = Callable[[str, str, str], None]
"""``warn(path, what, reason)``."""


def regular_files(patterns: Iterable[str], warn: Warn) -> dict[Key, Path]:
    """Returns the regular files that the patterns name, oldest first, each once."""
    found: list[tuple[int, str, Key]] = []
    for pattern in patterns:
        # Path.glob takes no absolute patterns.
        there = os.path.lexists(pattern)
        names = [pattern] if there else glob.glob(pattern, recursive=True)  # noqa: PTH207
        if not names:
            warn(pattern, "no_file_matches", "nothing is read until there is one")
        for name in names:
            try:
                status = Path(name).stat()
            except OSError as error:
                warn(name, "file_not_readable", str(error.strerror))
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime_ns, name, key_of(status)))
    present: dict[Key, Path] = {}
    for _, name, key in sorted(found):
        present.setdefault(key, Path(name))
    return present


def is_named(path: str, patterns: Iterable[str]) -> bool:
    """Tells whether a pattern names ``path``, as `glob` would if a file were there."""
    parts = PurePath(path).parts
    wanted = (PurePath(pattern).parts for pattern in patterns)
    return any(parts == exactly or _fits(parts, exactly) for exactly in wanted)


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted or not parts:
        return not wanted and not parts
    if wanted[0] == "**" and _fits(parts, wanted[1:]):
        return True
    if parts[0].startswith(".") and not wanted[0].startswith("."):
        return False
    if wanted[0] == "**":
        return len(parts) == len(wanted) == 1 or _fits(parts[1:], wanted)
    return fnmatchcase(parts[0], wanted[0]) and _fits(parts[1:], wanted[1:])
