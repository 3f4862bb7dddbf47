"""One server process: started, awaited, stopped, killed, restarted, and never left behind."""

import atexit
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from samlog.errors import SamlogError

_GUARD = Path(__file__).with_name("guarded_exec.py")
_TAIL_LINES = 40
_POLL_S = 0.1
_STOP_S = 20.0


class ServerError(SamlogError):
    """A server could not be fetched or started; the message ends with the tail of its log."""


class Server:
    """A server that listens on a loopback port and keeps its data in one folder.

    Start it from a thread that outlives it: on Linux the server is killed when the thread that
    started it ends. ``folder`` of None makes a temporary one, which `close` removes.
    """

    name = "server"

    def __init__(self, folder: Path | None, port: int, *, deadline_s: float) -> None:
        self.owns_folder = folder is None
        self.folder = temporary_folder(self.name) if folder is None else folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.log = self.folder / "server.log"
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Returns the program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Returns what is added to the environment."""
        return {}

    def owner(self) -> tuple[int, int]:
        """Returns uid and gid to run as; (-1, -1) keeps this process's."""
        return (-1, -1)

    def ready(self) -> bool:
        """Tells whether the server answers now; called repeatedly by `start`."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Tells whether the process is there (not whether it answers)."""
        return self._process is not None and self._process.poll() is None

    @property
    def session(self) -> int:
        """Returns the session that all its processes are in, by the first one's id; 0 if none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts the process and returns when it answers; does nothing when it runs.

        Raises `ServerError` with the tail of the log when it ends or misses the deadline.
        """
        if self.running:
            return
        uid, gid = self.owner()
        guard = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(uid), str(gid)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
                start_new_session=True,
            )
        atexit.register(self.close)
        self._await_ready(self._process)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._deadline_s
        while not self.ready():
            code = process.poll()
            if code is not None:
                raise ServerError(self.failure(f"ended with code {code} before it answered"))
            if time.monotonic() > deadline:
                self.kill()
                raise ServerError(self.failure(f"did not answer within {self._deadline_s:g} s"))
            time.sleep(_POLL_S)

    def failure(self, what: str) -> str:
        """Returns a sentence with the tail of the log."""
        return f"{self.name} {what}; the end of its log ({self.log}):\n{tail(self.log)}"

    def stop(self) -> None:
        """Asks the process to end (SIGTERM), kills it after 20 s; data and port stay reserved."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """Ends the process and its children at once (SIGKILL), as a crash would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        _await_refused(self.port, deadline=time.monotonic() + _STOP_S)

    def restart(self) -> None:
        """Stops and starts again: same address, same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stops the server and removes a temporary folder; safe to call twice."""
        self.stop()
        atexit.unregister(self.close)
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Returns the last lines of a log, or a sentence when there is none."""
    if not log.exists():
        return "(no log was written)"
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:]) or "(empty)"


def free_port() -> int:
    """Returns a loopback port that nothing listens on, below the range of outgoing connections.

    From within that range a client which knocks at a stopped server may be given the server's own
    port as its source, connect to itself and so keep the server from coming back.
    """
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free port between 20000 and 32000 on 127.0.0.1")


def accepts(port: int) -> bool:
    """Tells whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False


def _await_refused(port: int, *, deadline: float) -> None:
    while accepts(port) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def temporary_folder(name: str) -> Path:
    """Makes a folder named after this process, and removes those of processes that are gone.

    A process that was killed cannot remove its own; an Elasticsearch leaves 110 MB.
    """
    root = Path(tempfile.gettempdir())
    for left in root.glob("samlog-server-*"):
        found = re.fullmatch(r"samlog-server-\w+-(\d+)-\w+", left.name)
        if found and not _alive(int(found[1])):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"samlog-server-{name}-{os.getpid()}-"))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
