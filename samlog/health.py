"""The supervisor's HTTP answers: /metrics, /livez, /readyz, /healthz.

/livez asks only whether every stage's loop turned lately, never an outside service: a broker that
is down must not get samlog restarted. /readyz also asks whether each stage could reach its servers.
"""

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson

from samlog import log
from samlog.errors import ConfigError

TURNED_WITHIN_S = 60.0
REQUEST_S = 10.0
"""A client that says nothing for so long is hung up on."""
States = Mapping[str, Mapping[str, Any]]


def live(states: States, now: float) -> dict[str, str]:
    """Returns, per stage whose loop has not turned for a minute, a sentence; {} = alive."""
    return {
        stage: f"last sign of life {now - state['at']:.0f} s ago"
        for stage, state in states.items()
        if now - state["at"] > TURNED_WITHIN_S and not state.get("finished")
    }


def ready(states: States, now: float) -> dict[str, str]:
    """Returns, per stage that cannot work now, a sentence; {} = ready. No stage yet is not."""
    problems = live(states, now)
    for stage, state in states.items():
        if state.get("problem"):
            problems[stage] = str(state["problem"])
        elif state.get("starting"):
            problems[stage] = "starting"
    return problems if states else {"samlog": "no stage has started yet"}


class HealthServer:
    """Answers on ``listen`` in a thread of its own until closed.

    With ``any_port`` a port that is taken is replaced by a free one, with a warning. Raises
    `ConfigError` otherwise, and for an address that is none.
    """

    def __init__(
        self,
        listen: str,
        states: Callable[[], States],
        now: Callable[[], float],
        exposition: Callable[[], bytes],
        *,
        any_port: bool = False,
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_S

            def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
                self.answer(*page(self.path, states, now, exposition))

            def answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                return

        host, port = _address(listen)
        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            if not any_port:
                raise ConfigError(
                    f"http.listen {listen}: {error.strerror or error}; is another samlog running? "
                    "Set http: {listen: 127.0.0.1:0} to take a free port"
                ) from error
            self._server = _Server((host, 0), Handler)
            log.get("health").warning(
                "port_in_use", listen=listen, why=str(error), instead=self.address
            )
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    @property
    def address(self) -> str:
        """Returns where it answers: ``127.0.0.1:9600``."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def close(self) -> None:
        """Stops answering; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is none of our errors."""
        log.get("health").debug("request_broke_off", peer=str(client_address))


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"http.listen {listen!r} is no address; write it like 127.0.0.1:9600")
    return host or "127.0.0.1", int(port)


def page(
    path: str,
    states: Callable[[], States],
    now: Callable[[], float],
    exposition: Callable[[], bytes],
) -> tuple[int, str, bytes]:
    """Returns (status, content type, body) for a path."""
    path = path.partition("?")[0]
    if path == "/metrics":
        return 200, "text/plain; version=0.0.4", exposition()
    checks = {"/livez": live, "/readyz": ready, "/healthz": ready}
    if path not in checks:
        return 404, "text/plain", b"try /metrics, /livez, /readyz or /healthz\n"
    told = states()
    problems = checks[path](told, now())
    body = {"ok": not problems, "problems": problems, "stages": told}
    return 503 if problems else 200, "application/json", orjson.dumps(body)
