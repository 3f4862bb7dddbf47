"""``- {type: file, path: ./alerts.ndjson}``: appends a line an alert revision.

The line is on the disk when the alert counts as sent. A full disk or a read-only folder keeps
alerts waiting; nothing is lost.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from alerts.sink import SinkConfig
from samlog.errors import Unavailable


class Config(SinkConfig):
    type: Literal["file"] = "file"
    path: Path
    """File that is appended to; its folder is made."""


class FileSink:
    """Appends to ``path``, which it creates. Rotate it by rename: it is opened for each batch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, alerts: Sequence[bytes]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as out:
                out.write(self._line_end() + b"".join(alert + b"\n" for alert in alerts))
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise Unavailable(
                f"alert file {self._path}: {error.strerror}; make room or give another path",
                retry_after_s=5,
            ) from error

    def _line_end(self) -> bytes:
        """Returns a line end where a crash or a full disk left half a line behind."""
        with self._path.open("rb") as old:
            if old.seek(0, os.SEEK_END) == 0:
                return b""
            old.seek(-1, os.SEEK_END)
            return b"" if old.read(1) == b"\n" else b"\n"

    def check(self) -> str:
        folder = self._path.parent
        while not folder.exists():
            folder = folder.parent
        target = self._path if self._path.exists() else folder
        if os.access(target, os.W_OK):
            return ""
        return f"cannot write {self._path}; give its folder to the user that runs samlog"

    def close(self) -> None:
        return


def open_sink(config: Config) -> FileSink:
    return FileSink(config.path)
