"""Values of ``%name%`` in ``|expand``, from the configuration (specification 2.1, placeholders).

A name has its values in the configuration, or in a text file with one value a line. A rule whose
placeholder has none is refused by name (``placeholder_without_values``), the others go on.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from samlog.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_VALUES = 10_000
"""Of one placeholder; a condition takes 20,000 tests in all."""

Configured = Mapping[str, Sequence[str] | Path]


def read_placeholders(configured: Configured) -> dict[str, tuple[str, ...]]:
    """Returns name → values, each once and in their order.

    Raises `ConfigError` for a file that cannot be read, is no UTF-8 or too large, and for too many
    values: a rule must not become narrower because a file is gone.
    """
    found = {
        name: tuple(dict.fromkeys(_of_file(name, values) if isinstance(values, Path) else values))
        for name, values in configured.items()
    }
    for name, values in found.items():
        if len(values) > MAX_VALUES:
            raise ConfigError(f"placeholders: {name} has more than {MAX_VALUES:,} values")
    return found


def files_of(configured: Configured) -> list[Path]:
    """Returns the files that hold values."""
    return [values for values in configured.values() if isinstance(values, Path)]


def _of_file(name: str, path: Path) -> list[str]:
    """Returns the lines of a file without blank ones and comments (``#`` first)."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise ConfigError(f"placeholders: {name}: {problem}", path=str(path)) from error
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start})"
        raise ConfigError(f"placeholders: {name}: {problem}", path=str(path)) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"placeholders: {name}: holds more than a megabyte", path=str(path))
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
