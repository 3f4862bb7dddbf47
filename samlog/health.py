"""The supervisor's HTTP answers: /metrics, /livez, /readyz, /healthz.

/livez asks only whether every stage's loop turned lately, never an outside service: a broker that
is down must not get samlog restarted. /readyz also asks whether each stage could reach its servers.
"""

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson

from samlog import metrics
from samlog.errors import ConfigError

TURNED_WITHIN_S = 60.0
States = Mapping[str, Mapping[str, Any]]


def live(states: States, now: float) -> dict[str, str]:
    """Returns, per stage whose loop has not turned for a minute, a sentence; {} = alive."""
    return {
        stage: f"last sign of life {now - state['at']:.0f} s ago"
        for stage, state in states.items()
        if now - state["at"] > TURNED_WITHIN_S and not state.get("finished")
    }


def ready(states: States, now: float) -> dict[str, str]:
    """Returns, per stage that cannot work now, a sentence; {} = ready."""
    problems = live(states, now)
    for stage, state in states.items():
        if state.get("problem"):
            problems[stage] = str(state["problem"])
    return problems


class HealthServer:
    """Answers on ``listen`` in a thread of its own until closed."""

    def __init__(
        self,
        listen: str,
        states: Callable[[], States],
        now: Callable[[], float],
        metrics_folder: Path,
    ) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                self.answer(*page(self.path, states, now, metrics_folder))

            def answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                return

        try:
            self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"http.listen {listen}: {error}; is another samlog running? "
                "Set http: {listen: 127.0.0.1:0} to take a free port"
            ) from error
        self.address = f"{self._server.server_address[0]!s}:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stops answering; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()


def page(
    path: str, states: Callable[[], States], now: Callable[[], float], metrics_folder: Path
) -> tuple[int, str, bytes]:
    """Returns (status, content type, body) for a path."""
    if path == "/metrics":
        return 200, "text/plain; version=0.0.4", metrics.exposition(metrics_folder)
    checks = {"/livez": live, "/readyz": ready, "/healthz": ready}
    if path not in checks:
        return 404, "text/plain", b"try /metrics, /livez, /readyz or /healthz\n"
    told = states()
    problems = checks[path](told, now())
    body = {"ok": not problems, "problems": problems, "stages": told}
    return 503 if problems else 200, "application/json", orjson.dumps(body)
