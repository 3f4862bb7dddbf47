"""The supervisor, with real processes: who is started again, who is drained, who is told what."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from samlog.errors import Exit
from samlog.metrics import Metrics
from samlog.supervisor import DAMAGED, GIVE_UP, Child, Supervisor
from samlog.testing import FakeClock

TO_THE_END = """
import os, sys
fd = int(sys.argv[sys.argv.index("--control-fd") + 1])
os.read(fd, 1)
"""
ON_TERM = """
import os, signal, sys
def drained(number, frame):
    note("drained")
    sys.exit(143)
signal.signal(signal.SIGTERM, drained)
"""


class QuickClock(FakeClock):
    """Waits a millisecond for every second asked."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.001)
        self.advance(1.0)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def supervise(notes: Path) -> Callable[..., Supervisor]:
    """Returns a maker of supervisors: stage name to the Python text that its process runs.

    The text may call ``note(word)``, which appends to a file, and ``first_time(word)``.
    """

    def make(scripts: dict[str, str], **options: object) -> Supervisor:
        def command(stage: str) -> list[str]:
            head = (
                f"import os\nnotes = {str(notes)!r}\n"
                f"def note(word):\n with open(notes, 'a') as f: f.write({stage!r}+' '+word+'\\n')\n"
                "def first_time(word):\n"
                " had = os.path.exists(notes) and word in open(notes).read()\n"
                " note(word)\n return not had\n"
            )
            return [sys.executable, "-c", head + scripts[stage]]

        given = {"until_idle": True, **options}
        return Supervisor(list(scripts), command, QuickClock(), Metrics(), **given)  # type: ignore[arg-type] # as given

    return make


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines()


def test_a_stage_learns_of_the_end_when_those_above_it_have_finished(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    told = TO_THE_END + "note('ended')"

    code = supervise({"store": told, "detect": told, "normalize": told, "collect": told}).run()

    assert code == Exit.DONE
    assert lines(notes) == ["collect ended", "normalize ended", "detect ended", "store ended"]


def test_a_crashed_stage_is_started_again_and_still_learns_of_the_end(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    crash = "if first_time('here'): os.kill(os.getpid(), 9)\n" + TO_THE_END
    supervisor = supervise({"normalize": crash})

    assert supervisor.run() == Exit.DONE
    assert lines(notes) == ["normalize here", "normalize here"]
    assert supervisor.restarts == 1
    assert supervisor.metrics.value("restarts_total", stage="normalize") == 1


def test_a_stage_that_somebody_stops_is_not_taken_for_finished(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    stopped = "import sys\nif first_time('here'): sys.exit(143)\n" + TO_THE_END

    assert supervise({"normalize": stopped}).run() == Exit.DONE
    assert len(lines(notes)) == 2


def test_a_wrong_configuration_ends_everything_with_78(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    ready = ON_TERM + "note('ready')\nsignal.pause()"
    wrong = "import sys, time\nwhile not os.path.exists(notes): time.sleep(0.01)\nsys.exit(78)"

    assert supervise({"detect": ready, "alerts": wrong}).run() == Exit.CONFIG
    assert lines(notes) == ["detect ready", "detect drained"]


@pytest.mark.parametrize(("exits", "code"), [(1, Exit.FAILED), (69, Exit.UNAVAILABLE)])
def test_where_somebody_waits_for_the_end_a_crash_loop_is_given_up(
    supervise: Callable[..., Supervisor], exits: int, code: Exit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samlog.supervisor.GIVE_UP", 3)
    # The clock runs: on a busy machine a process that only starts and ends lives for "a minute".
    monkeypatch.setattr("samlog.supervisor.STABLE_S", float("inf"))
    supervisor = supervise({"store": f"import sys; sys.exit({exits})"})

    assert GIVE_UP == 20
    assert supervisor.run() == code
    assert supervisor.restarts == 3


def test_a_process_that_cannot_be_started_is_tried_again(notes: Path) -> None:
    commands = iter([["/nowhere/at/all"], [sys.executable, "-c", TO_THE_END]])
    supervisor = Supervisor(
        ["detect"], lambda stage: next(commands), QuickClock(), Metrics(), until_idle=True
    )

    assert supervisor.run() == Exit.DONE
    assert supervisor.restarts == 1


def test_a_process_that_can_never_be_started_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samlog.supervisor.GIVE_UP", 2)
    supervisor = Supervisor(
        ["detect"], lambda stage: ["/nowhere"], QuickClock(), Metrics(), until_idle=True
    )

    assert supervisor.run() == Exit.FAILED


def test_term_drains_every_stage(supervise: Callable[..., Supervisor], notes: Path) -> None:
    parent = "os.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()"

    code = supervise({"detect": ON_TERM + parent}, until_idle=False).run()

    assert code == Exit.TERMINATED
    assert lines(notes) == ["detect drained"]


def test_a_second_int_aborts(supervise: Callable[..., Supervisor], notes: Path) -> None:
    stubborn = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda n, f: os.kill(os.getppid(), signal.SIGINT))\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "while True: signal.pause()"
    )

    code = supervise({"detect": stubborn}, until_idle=False).run()

    assert code == Exit.INTERRUPTED


def test_handlers_of_signals_are_given_back(supervise: Callable[..., Supervisor]) -> None:
    before = signal.getsignal(signal.SIGTERM)

    supervise({"collect": TO_THE_END}).run()

    assert signal.getsignal(signal.SIGTERM) == before


def test_after_damage_all_are_drained_before_the_repair_and_started_again_after_it(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    waits = ON_TERM + "if first_time('sound'): signal.pause()\n" + TO_THE_END
    meets = (
        "import sys, time\nwhile 'sound' not in open(notes).read(): time.sleep(0.01)\n"
        f"if first_time('damage'): sys.exit({DAMAGED})\n" + TO_THE_END
    )
    notes.touch()
    repairs: list[str] = []
    supervisor = supervise(
        {"store": waits, "detect": meets}, repair=lambda: repairs.append(notes.read_text())
    )

    assert supervisor.run() == Exit.DONE
    assert len(repairs) == 2  # before the first start, and after the damage
    assert repairs[1].splitlines() == ["store sound", "detect damage", "store drained"]
    assert lines(notes)[3:].count("store sound") == 1


def test_whoever_listens_is_told_each_process_that_is_no_more(
    supervise: Callable[..., Supervisor],
) -> None:
    ended: list[int] = []
    supervisor = supervise({"collect": TO_THE_END, "detect": TO_THE_END}, ended=ended.append)

    supervisor.run()

    assert set(ended) == supervisor.pids
    assert len(ended) == 2


def test_stages_come_to_an_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    child = TO_THE_END.replace("os.read(fd, 1)", "print('up', flush=True); os.read(fd, 1)")
    program = (
        "import sys\n"
        "from samlog.supervisor import Supervisor\n"
        "from samlog.clock import SystemClock\n"
        "from samlog.metrics import Metrics\n"
        f"command = lambda stage: [sys.executable, '-c', {child!r}]\n"
        "Supervisor(['detect'], command, SystemClock(), Metrics()).run()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"

    process.kill()

    # The child holds the other end of this pipe: it ends when the child does.
    assert process.stdout.read() == b""
    process.wait()
    process.stdout.close()


def test_hup_is_passed_to_the_detect_stage_alone_and_ends_nothing(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    on_hup = """
import os, signal, sys
def again(number, frame):
    note("hup")
    sys.exit(0)
signal.signal(signal.SIGHUP, again)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
note("ready")
signal.pause()
"""
    other = "note('ready')\n" + TO_THE_END + "note('ended')"
    supervisor = supervise({"detect": on_hup, "store": other})
    turn, asked = supervisor._look_at, list[bool]()

    def look_at(child: Child) -> int | None:
        if not asked and notes.exists() and len(lines(notes)) == 2:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGHUP)
        return turn(child)

    supervisor._look_at = look_at  # type: ignore[method-assign] # watches what happens

    assert supervisor.run() == Exit.DONE
    assert sorted(lines(notes)) == ["detect hup", "detect ready", "store ended", "store ready"]
    assert supervisor.restarts == 0


def test_a_hup_that_comes_before_a_stage_listens_waits_for_it(
    supervise: Callable[..., Supervisor], notes: Path
) -> None:
    listens_late = """
import os, signal, sys
def again(number, frame):
    note("hup")
    sys.exit(0)
signal.signal(signal.SIGHUP, again)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
signal.pause()
"""
    supervisor = supervise({"correlate": listens_late})
    start = supervisor._start

    def start_and_hup(child: Child) -> int | None:
        code = start(child)
        supervisor._pass_on_hup()
        return code

    supervisor._start = start_and_hup  # type: ignore[method-assign] # HUP as early as it can come

    assert supervisor.run() == Exit.DONE
    assert lines(notes) == ["correlate hup"]
    assert supervisor.restarts == 0
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
