"""A command with all its processes: which cores it has, CPU time and memory, from /proc."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STOP_S = 30.0


@dataclass
class Running:
    """A started command. ``peak_mb`` is the most that `look` saw of all processes together."""

    process: subprocess.Popen[bytes]
    log: Path
    peak_mb: float = 0.0
    by_process: dict[str, float] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """Returns the process and all its descendants."""
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (stat := _stat(int(folder.name))):
                parents.setdefault(int(stat[1]), []).append(int(folder.name))
        found = [self.process.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def cpu_s(self) -> dict[str, float]:
        """Returns the CPU seconds of each process so far, by its command and place in the tree."""
        found = {}
        for number, pid in enumerate(self.pids()):
            if stat := _stat(pid):
                found[f"{number} {_name(pid)}"] = (int(stat[11]) + int(stat[12])) / TICKS
        return found

    def look(self) -> None:
        """Notes the memory in use: proportional set sizes, so that shared pages count once."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) / 1024
        self.peak_mb = max(self.peak_mb, total)

    def check(self) -> None:
        """Raises `SystemExit` with the end of the log when the command has ended."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.log.name} ended: {self.log.read_text()[-1500:]}")

    def move_main_to(self, core: int) -> None:
        """Gives the first process, without its children, another core."""
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), {core})


def _stat(pid: int) -> list[str]:
    """Returns the fields of a process's stat from its state on, or [] when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    stages = ("normalize", "detect")
    last = [word for word in words if word in stages]
    return last[-1] if len(last) == 1 else Path(words[1] if len(words) > 1 else words[0]).name


@contextmanager
def started(command: Sequence[str], core: int, log: Path) -> Iterator[Running]:
    """Runs a command on one core, with its words in ``log``; ends it afterwards."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
