"""Rule files as YAML documents, read so that no file can do harm.

A file is untrusted until parsed: its size, nesting and aliases are bounded before PyYAML builds
anything (libyaml's composer recurses in C and takes the process down on 100,000 brackets).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from samlog.errors import RuleError

MAX_FILE_BYTES = 1_048_576
MAX_YAML_DEPTH = 50
MAX_ALIASES = 100
SUFFIXES = (".yml", ".yaml")

_MARKS = bytes.maketrans(b"?:", b"--")
_NESTED = b"-" * 10
_INDENTED = b" " * 100
_ANCHOR = re.compile(rb"(?:^|[\s\[{,:-])&[^\s&]", re.MULTILINE)


class Document(NamedTuple):
    """One YAML document: ``line`` is where it begins, 1-based; ``data`` what it holds."""

    path: Path
    line: int
    data: Any


class _Loader(yaml.CSafeLoader):
    """The safe loader, refusing a key that is written twice: the first would be lost unseen."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(keys)) != len(keys):
            twice = next(key for i, key in enumerate(keys) if key in keys[:i])
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} is written twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def rule_files(root: Path) -> list[Path]:
    """Returns the rule files at or below ``root``, sorted; hidden files and folders are left out.

    Links to folders are followed, each folder is looked at once. One that cannot be read is among
    the files, so that reading it tells why.

    Raises `RuleError` (``no_such_file``) where there is nothing of that name.
    """
    if root.is_dir():
        unreadable: list[OSError] = []
        found = [place for place in _below(root, unreadable) if is_rule_file(place.name)]
        return sorted([*found, *(Path(error.filename) for error in unreadable)])
    if not root.exists():
        raise RuleError(
            "there is no such file or directory; `rules:` in the configuration names it",
            reason="no_such_file",
            path=str(root),
        )
    return [root]


def is_rule_file(name: str) -> bool:
    """Tells by its name whether a file holds rules."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _below(root: Path, unreadable: list[OSError]) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, onerror=unreadable.append, followlinks=True):
        told = Path(folder).stat()
        if (told.st_dev, told.st_ino) in seen:
            folders.clear()
            continue
        seen.add((told.st_dev, told.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def read_file(path: Path) -> bytes:
    """Returns the bytes of a rule file. Raises `RuleError`: unreadable, file_too_large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RuleError(
            f"cannot be read: {error.strerror}", reason="unreadable", path=str(path)
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise RuleError(
            f"is larger than {MAX_FILE_BYTES:,} bytes", reason="file_too_large", path=str(path)
        )
    return data


def documents(path: Path, data: bytes) -> Iterator[Document]:
    """Yields the documents of one file; empty ones are left out.

    Raises `RuleError` at the first one that is not YAML (``not_yaml``), nests or repeats itself
    beyond reason (``yaml_bomb``).
    """
    if b"\0" in data:  # UTF-16 would also hide its brackets from the check below
        raise RuleError("is not YAML: not UTF-8 text", reason="not_yaml", path=str(path))
    try:
        if _is_suspicious(data):
            _check_events(path, data)
        loader = _Loader(data)
        try:
            while loader.check_node():
                node = loader.get_node()
                content = loader.construct_document(node)
                if node is not None and content is not None:
                    yield Document(path, node.start_mark.line + 1, content)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _not_yaml(path, error) from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise RuleError(f"is not YAML: {error}", reason="not_yaml", path=str(path)) from error


def _is_suspicious(data: bytes) -> bool:
    """Tells whether a file could nest deeply or repeat itself; cheap, may be wrong in one way."""
    return (
        (b"&" in data and _ANCHOR.search(data) is not None)
        # Ten marks of a list or map in one line, blanks apart: in a twentieth of a regex's time.
        or _NESTED in data.translate(_MARKS, b" \t")
        or _INDENTED in data
        or data.count(b"[") + data.count(b"{") > 500
    )


def _check_events(path: Path, data: bytes) -> None:
    """Walks the parse events, which needs no recursion, and bounds depth and aliases."""
    depth = aliases = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.events.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.events.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.events.AliasEvent):
            aliases += 1
        if depth > MAX_YAML_DEPTH or aliases > MAX_ALIASES:
            what = f"nests deeper than {MAX_YAML_DEPTH} levels"
            if aliases > MAX_ALIASES:
                what = f"repeats itself by more than {MAX_ALIASES} aliases"
            mark = event.start_mark
            line = mark.line + 1 if mark else 0
            raise RuleError(what, reason="yaml_bomb", path=str(path), line=line)


def _not_yaml(path: Path, error: yaml.YAMLError) -> RuleError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not UTF-8 text"
    line = mark.line + 1 if mark else 0
    return RuleError(f"is not YAML: {problem}", reason="not_yaml", path=str(path), line=line)


def expanded_size(data: Any, limit: int) -> int:
    """Returns how many values ``data`` has with every alias written out, at most ``limit``.

    An alias that holds itself counts as ``limit``.
    """
    pending, count = [data], 0
    while pending and count < limit:
        value = pending.pop()
        count += 1
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return count


def line_of(path: Path, data: bytes, document_line: int, key: str) -> int:
    """Returns the line of top-level ``key`` in the document that begins at ``document_line``."""
    lines = data.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines[document_line - 1 :], document_line):
        if line.startswith(f"{key}:"):
            return number
        if line.startswith("---") and number > document_line:
            break
    return document_line
