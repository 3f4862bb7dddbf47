"""The command line in this process, and a small deployment to run it on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from samlog.cli.__main__ import main

LINE = (
    b"Jan 10 13:37:01 web1 sshd[811]: Failed password for root from 203.0.113.7 port 40112 ssh2\n"
)
BINARY = b"\x00\x01\x02\x03\n"


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Returns the NDJSON lines of stdout."""
        return [orjson.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Runs ``samlog`` with the given words."""

    def run(*words: str) -> Answer:
        capfd.readouterr()
        monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
        monkeypatch.setattr("sys.argv", ["samlog", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        structlog.reset_defaults()
        out, err = capfd.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


@dataclass(frozen=True)
class Deployment:
    """A configuration file with everything embedded, and the log that it reads."""

    folder: Path
    log: Path

    @property
    def config(self) -> str:
        return str(self.folder / "samlog.yaml")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write(self, changes: Mapping[str, Any] | None = None) -> "Deployment":
        """Writes the configuration; ``changes`` replace whole sections."""
        data = str(self.data)
        settings = {
            "bus": {"type": "embedded", "path": data},
            "store": {"type": "embedded", "path": data},
            "units": {"enheda": {"title": "Enhed A"}, "enhedb": {"title": "Enhed B"}},
            "sources": [{"type": "file", "unit": "enheda", "paths": [str(self.log)]}],
            "rules": ["builtin"],
            "sinks": [{"type": "file", "path": str(self.folder / "alerts.ndjson")}],
            "http": {"listen": "127.0.0.1:0"},
        }
        (self.folder / "samlog.yaml").write_bytes(orjson.dumps(settings | dict(changes or {})))
        return self


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment whose log holds one good line and one that becomes a dead letter."""
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "auth.log"
    log.write_bytes(LINE + BINARY)
    return Deployment(tmp_path, log).write()
