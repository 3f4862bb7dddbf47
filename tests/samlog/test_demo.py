"""`samlog demo` for real, in a process of its own: its transcript is true and adds up."""

import os
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "samlog" / "demo"
FIGURES = re.compile(r"(\w+) ([\d,]+)(?= |$)")
UNITS = ("Enhed A", "Enhed B", "Enhed C")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outcome:
    """What one demo printed, and what it left behind."""

    code: int
    out: list[str]
    err: str
    kept: Path
    temporary: Path

    def lines(self, word: str) -> list[str]:
        return [line for line in self.out if line.startswith(f"{word:8}")]

    def figures(self) -> dict[str, int]:
        line = next(line for line in self.out if line.startswith("read "))
        return {name: int(value.replace(",", "")) for name, value in FIGURES.findall(line)}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    temporary, kept = tmp_path_factory.mktemp("tmp"), tmp_path_factory.mktemp("kept")
    done = subprocess.run(
        [sys.executable, "-m", "samlog", "demo", "--keep", str(kept)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, "TMPDIR": str(temporary), "NO_COLOR": "1"},
        cwd=temporary,
    )
    return Outcome(done.returncode, done.stdout.splitlines(), done.stderr, kept, temporary)


def records() -> int:
    """Returns how many records the shipped logs hold."""
    lines = [line for f in SHIPPED.glob("enhed*") for line in f.read_bytes().split(b"\n")]
    return sum(1 for line in lines if line)


def test_it_ends_well_and_says_little_on_stderr(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert "Traceback" not in outcome.err


def test_every_unit_shows_the_way_from_a_raw_line_to_an_alert(outcome: Outcome) -> None:
    headings = [line for line in outcome.out if line.startswith("── ")]

    assert [heading[3:10] for heading in headings] == list(UNITS)
    for word in ("raw", "ECS", "rule", "alert"):
        assert len(outcome.lines(word)) == len(UNITS), word


def test_guessed_passwords_become_one_alert(outcome: Outcome) -> None:
    raw, ecs, rule, alert = (outcome.lines(w)[0] for w in ("raw", "ECS", "rule", "alert"))

    assert "Failed password for invalid user admin from 203.0.113.7" in raw
    assert raw.endswith("(× 12 in 37 s)")
    for field in ("event.outcome=failure", "source.ip=203.0.113.7", "host.name=web1"):
        assert field in ecs.split()
    assert "by samlog contributors" in rule
    assert "12 events  TLP:AMBER  T1110.001" in alert
    assert alert.endswith("evidence: 12 event ids")


def test_no_user_name_is_in_an_alert(outcome: Outcome) -> None:
    told = outcome.lines("alert") + outcome.lines("also")

    assert told
    assert not any("bjørn" in line for line in told)


def test_the_figures_add_up(outcome: Outcome) -> None:
    figures = outcome.figures()
    counts = [int(n) for line in outcome.out for n in re.findall(r"  (\d+) events?\b", line)]

    assert figures["read"] == records()
    assert figures["read"] == figures["parsed"] + figures["rejected"]
    assert figures["rejected"] == 3
    assert figures["alerts"] == len(outcome.lines("alert")) + len(outcome.lines("also"))
    assert figures["detections"] == sum(counts)
    assert figures["stored"] == figures["parsed"] + figures["rejected"] + figures["alerts"]


def test_the_cert_channel_has_every_alert(outcome: Outcome) -> None:
    sent = (outcome.kept / "cert-channel.ndjson").read_bytes().splitlines()

    assert len(sent) == outcome.figures()["alerts"]
    assert list(outcome.temporary.iterdir()) == []


def test_nothing_is_left_behind_without_keep(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "samlog", "demo"],
        capture_output=True,
        timeout=120,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
    )

    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_logs_are_what_the_generator_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = runpy.run_path(str(ROOT / "tools" / "generate_demo.py"), run_name="generator")
    monkeypatch.setitem(module["main"].__globals__, "FOLDER", tmp_path)

    module["main"]()

    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SHIPPED.glob("enhed*")}
