"""Secrets come from files, so that no process list, log or `check --print` shows them."""

from pathlib import Path

from samlog.errors import ConfigError

MAX_BYTES = 64 * 1024


def read_secret(path: Path, what: str) -> str:
    """Returns a secret file's content without its final newline.

    Raises `ConfigError` that names ``what`` needs it, when it is missing, empty or no text.
    """
    try:
        secret = path.read_bytes()[:MAX_BYTES].decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{what}: cannot read it: {error.strerror}", path=str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}: is not UTF-8 text", path=str(path)) from error
    if not secret:
        raise ConfigError(f"{what}: the file is empty", path=str(path))
    return secret
