"""The README's transcript is what the demo really prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def steady(line: str) -> str:
    """Takes out what differs between runs: seconds, and tokens made with a fresh key."""
    return re.sub(r"hmac:[0-9a-f]+", "hmac:", re.sub(r"\d+\.\d s$", "s", line)).rstrip()


@pytest.mark.slow
def test_every_line_of_the_transcript_comes_from_a_run_in_this_order() -> None:
    shown = README.read_text("utf-8").split("$ make demo\n")[1].split("```")[0].splitlines()
    wanted = [steady(line) for line in shown if not line.startswith("[…")]

    ran = subprocess.run(
        [sys.executable, "-m", "samlog", "demo"], capture_output=True, text=True, check=True
    )

    printed = iter([steady(line) for line in ran.stdout.splitlines()])
    missing = [line for line in wanted if line not in printed]
    assert missing == []
