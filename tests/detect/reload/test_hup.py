"""A running detect process: HUP and changed files bring new rules, broken ones change nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

pytestmark = pytest.mark.slow

WAIT_S = 60.0


@pytest.fixture
def folder(tmp_path: Path, rule: Any) -> Path:
    path = tmp_path / "rules"
    path.mkdir()
    process = {"product": "windows", "category": "process_creation"}
    first = rule({"selection": {"Image": "x"}}, logsource=process)
    (path / "one.yml").write_text(yaml.safe_dump(first))
    return path


@pytest.fixture
def stage(tmp_path: Path, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A detect process on an empty embedded bus; it ends when its pipe is closed."""
    data = str(tmp_path / "data")
    settings = {
        "bus": {"type": "embedded", "path": data},
        "store": {"type": "embedded", "path": data},
        "units": {"enheda": {}},
        "rules": [str(folder)],
        "rules_poll_s": 0.2,
    }
    (tmp_path / "samlog.yaml").write_bytes(orjson.dumps(settings))
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "samlog", "-q", "stage", "detect"]
        + ["--config", str(tmp_path / "samlog.yaml"), "--control-fd", str(read_end)],
        pass_fds=(read_end,),
    )
    os.close(read_end)
    yield process
    os.close(write_end)
    assert process.wait(WAIT_S) == 0


@pytest.fixture
def told(tmp_path: Path, stage: Any) -> Callable[[Callable[[dict[str, Any]], bool]], Any]:
    """Returns a function that waits until the process's status is as wanted, and gives it."""
    path = tmp_path / "data" / "run" / "detect.json"

    def wait(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        status: dict[str, Any] = {}
        while time.monotonic() < deadline and stage.poll() is None:
            status = orjson.loads(path.read_bytes()) if path.exists() else {}
            if wanted(status):
                return status
            time.sleep(0.05)
        raise AssertionError(f"never came; the last status is {status}")

    return wait


def test_new_rules_come_by_hup_and_by_change_and_broken_ones_do_not(
    stage: "subprocess.Popen[bytes]", told: Callable[..., Any], folder: Path, rule: Any
) -> None:
    first = told(lambda s: "rule_set" in s)["rule_set"]
    other = rule({"selection": {"Image": "y"}}, id="11111111-1111-4111-8111-111111111112")
    other["logsource"] = {"product": "windows"}
    (folder / "two.yml").write_text(yaml.safe_dump(other))
    stage.send_signal(signal.SIGHUP)
    second = told(lambda s: s["rule_set"] != first)["rule_set"]

    (folder / "bad.yml").write_text("title: [")
    broken = told(lambda s: s["rules_problem"])
    (folder / "bad.yml").unlink()
    mended = told(lambda s: not s["rules_problem"])

    assert "bad.yml" in broken["rules_problem"]
    assert broken["rule_set"] == mended["rule_set"] == second
    assert stage.poll() is None
