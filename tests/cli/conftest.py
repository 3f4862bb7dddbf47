"""``samlog rules`` in this process, and a deployment for it that never ran."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner

from samlog.cli.rules_ import command

RULE_ID = "55555555-5555-4555-8555-555555555555"
OTHER_ID = "55555555-5555-4555-8555-555555555556"


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


Call = Callable[..., Answer]


@pytest.fixture
def call() -> Call:
    """Returns a function that runs ``samlog rules`` with the given words."""

    def called(*args: str | Path) -> Answer:
        result = CliRunner().invoke(command, [str(a) for a in args], standalone_mode=False)
        if result.exception:
            raise result.exception
        return Answer(int(result.return_value), result.stdout, result.stderr)

    return called


def web_rule(path: str, **changes: Any) -> dict[str, Any]:
    return {
        "title": f"Asks for {path}",
        "id": RULE_ID,
        "author": "Kari",
        "logsource": {"category": "webserver"},
        "detection": {"selection": {"cs-uri-stem": path}, "condition": "selection"},
        "level": "high",
        **changes,
    }


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Returns a folder with two rules for web servers and one for Windows."""
    folder = tmp_path / "rules"
    folder.mkdir()
    windows = {"product": "windows", "category": "process_creation"}
    detection = {"selection": {"Image|endswith": "\\whoami.exe"}, "condition": "selection"}
    for name, rule in {
        "evil": web_rule("/evil"),
        "bad": web_rule("/bad", id=OTHER_ID),
        "whoami": web_rule(
            "", id=OTHER_ID[:-1] + "7", title="Whoami", logsource=windows, detection=detection
        ),
    }.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(rule))
    return folder


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def deployment(tmp_path: Path, rules: Path) -> Callable[..., Path]:
    """Returns a function that writes a configuration and gives its path.

    Its argument are entries of enheda's overlay.
    """

    def written(entries: Sequence[Any] = (), sources: Sequence[Any] = ()) -> Path:
        data = str(tmp_path / "data")
        overlay = tmp_path / "enheda.yaml"
        overlay.write_text(yaml.safe_dump(list(entries)))
        settings = {
            "bus": {"type": "embedded", "path": data},
            "store": {"type": "embedded", "path": data},
            "units": {"enheda": {"overlay": str(overlay)}, "enhedb": {}},
            "sources": list(sources),
            "rules": [str(rules)],
        }
        path = tmp_path / "samlog.yaml"
        path.write_bytes(orjson.dumps(settings))
        return path

    return written


@pytest.fixture
def entry(today: date) -> Callable[..., dict[str, Any]]:
    """Returns a maker of overlay entries that are in force today."""

    def made(**changes: Any) -> dict[str, Any]:
        return {
            "rules": [RULE_ID],
            "disable": True,
            "owner": "kari",
            "reason": "known",
            "since": today - timedelta(days=10),
            "expires": today + timedelta(days=10),
            **changes,
        }

    return made
