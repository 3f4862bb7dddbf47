"""What was compiled from a rule set, kept by content, so that a restart takes a second.

The key is a hash over every rule file, the options, this package's own source and the versions of
Python and pySigma: whatever could change the result changes the key. A file that does not hash to
what it says is thrown away. The directory must belong to samlog alone: what is in it is code.
"""

import fcntl
import marshal
import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from detect.compile import Constant, Program
from detect.condition import Node
from detect.rule import LoadReport, Rule, RuleFile, Unmapped
from samlog.errors import RuleError

KEPT = 4
"""Rule sets kept in a directory; the least recently written go first."""
_DIGEST_BYTES = 32


class Kept(NamedTuple):
    """What a rule set compiles to. ``variants`` are (rule, condition, sources, plain)."""

    report: LoadReport
    variants: Sequence[tuple[int, Node, frozenset[int], bool]]
    program: Program
    needs: Sequence[Any]
    filters: Sequence[Any] = ()
    correlations: Sequence[Any] = ()


def key_of(files: Iterable[RuleFile], mode: str, placeholders: Mapping[str, Sequence[str]]) -> str:
    """Returns the name under which the result for these inputs is kept."""
    digest = blake2b(digest_size=16)
    options = sorted((name, tuple(values)) for name, values in placeholders.items())
    versions = [version(name) for name in ("pySigma", "PyYAML", "google-re2")]
    for text in (mode, repr(options), sys.version, *versions, _own_source()):
        digest.update(f"{text}\0".encode())
    for file in files:
        digest.update(f"{file.path}\0{file.name}\0{len(file.data)}\0".encode("utf-8", "replace"))
        digest.update(file.data)
    return digest.hexdigest()


def _own_source() -> str:
    digest = blake2b(digest_size=16)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read(directory: Path, key: str) -> Kept | None:
    """Returns what is kept under ``key``, or None if there is nothing, or it is damaged.

    Nothing is read from a directory that others can write to: what it holds is run.
    """
    try:
        if not _is_ours(directory):
            return None
        data = _path(directory, key).read_bytes()
    except OSError:
        return None
    digest, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
        return None
    loaded, refused, unmapped, products, variants, *rest = pickle.loads(body)
    code, constants, needs, filters, correlations = rest
    report = LoadReport(
        [Rule(*fields) for fields in loaded],
        [_refused(*fields) for fields in refused],
        [Unmapped(Rule(*fields), reason, detail) for fields, reason, detail in unmapped],
        products,
    )
    program = Program(marshal.loads(code), tuple(Constant(*c) for c in constants))
    return Kept(report, variants, program, needs, filters, correlations)


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Waits until no other process makes what belongs here; whoever waited finds it made.

    Where no lock can be had, nobody waits, and each process makes its own.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write(directory: Path, key: str, kept: Kept) -> str:
    """Keeps a result; returns "" or, if that was not possible, why. Never raises for the disk."""
    report = kept.report
    body = pickle.dumps(
        (
            [_fields(rule) for rule in report.loaded],
            [(e.args[0], e.reason, e.path, e.line, e.rule_id) for e in report.refused],
            [(_fields(u.rule), u.reason, u.detail) for u in report.unmapped],
            report.refused_products,
            [tuple(variant) for variant in kept.variants],
            marshal.dumps(kept.program.code),
            [tuple(constant) for constant in kept.program.constants],
            kept.needs,
            list(kept.filters),
            list(kept.correlations),
        ),
        protocol=5,
    )
    path = _path(directory, key)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_ours(directory):
            return f"{directory}: others can write to it; type: chmod go-w {directory}"
        new = path.with_suffix(f".{os.getpid()}")
        new.write_bytes(blake2b(body, digest_size=_DIGEST_BYTES).digest() + body)
        new.replace(path)
        _tidy(directory)
    except OSError as error:
        return f"{directory}: {error.strerror}"
    return ""


def _is_ours(directory: Path) -> bool:
    found = directory.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _path(directory: Path, key: str) -> Path:
    return directory / f"rules-{key}.bin"


def _tidy(directory: Path) -> None:
    kept = sorted(directory.glob("rules-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT:]:
        path.unlink(missing_ok=True)


def _fields(rule: Rule) -> tuple[Any, ...]:
    return tuple(getattr(rule, name) for name in Rule.__slots__)


def _refused(text: str, reason: str, path: str, line: int, rule_id: str) -> RuleError:
    error = RuleError(text, reason=reason, rule_id=rule_id)
    error.path, error.line = path, line
    return error
