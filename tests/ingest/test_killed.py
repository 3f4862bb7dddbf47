import gzip
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("killed_collector.py")
EVENTS = 5_000


def run(tmp_path: Path, place: str = "never", left: int = 0) -> int:
    pattern = str(tmp_path / "logs" / "*")
    command = [sys.executable, SCRIPT, tmp_path / "state", pattern, tmp_path / "out", place]
    done = subprocess.run(
        [*command, str(left)], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, timeout=60
    )
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_kill_9_at_any_place_loses_nothing_and_repeats_under_the_same_origin(
    tmp_path: Path, packed: bool
) -> None:
    sent = [b"event %06d %b" % (number, b"." * 40) for number in range(EVENTS)]
    (tmp_path / "logs").mkdir()
    content = b"\n".join(sent) + b"\n"
    (tmp_path / "logs" / "a").write_bytes(gzip.compress(content) if packed else content)

    for place, left in [("send", 70), ("flush", 1), ("save", 0), ("flush", 2), ("send", 1500)]:
        assert run(tmp_path, place, left) == -signal.SIGKILL
    assert run(tmp_path) == 0

    out = (tmp_path / "out").read_bytes().splitlines()
    # What was buffered and not flushed dies with the process: its last line may be cut.
    whole = [tuple(line.split(b" ", 3)) for line in out if line.endswith(b"." * 40)]
    assert {line[3] for line in whole} == set(sent)
    assert len({line[0] for line in whole}) == EVENTS
    assert len(whole) > EVENTS
    last = {line[3]: int(line[1]) for line in whole}
    assert sorted(last.values()) == list(range(EVENTS))
