"""Receipt to alert: lines arrive at a steady rate, some of them make a rule fire."""

import json
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import quantiles
from typing import Any

import orjson

from benchmarks.whole_path import configuration

SECONDS = 30
MARKERS_PER_S = 5
MARKER = {
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "EventID": 1,
    "Hostname": "bench",
    "SourceName": "Microsoft-Windows-Sysmon",
    "Image": "C:\\Windows\\System32\\vssadmin.exe",
    "CommandLine": "vssadmin.exe delete shadows /all /quiet",
    "OriginalFileName": "VSSADMIN.EXE",
}


class Receiver:
    """A webhook that notes when the alert about each marker's user came."""

    def __init__(self) -> None:
        arrived: dict[str, float] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
                alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for asset in alert["subject"].get("assets", []):
                    arrived.setdefault(asset["id"], time.time())
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.arrived = arrived
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def measure_latency(folder: Path, source: Path, rules: Path, *, rate: float) -> None:
    """Prints p50, p95 and p99 from the moment a line is sent until its alert is received."""
    receiver = Receiver()
    port = free_port()
    config = configuration(folder / "latency", rules)
    config["sources"] = [{"type": "http", "unit": "enheda", "listen": f"127.0.0.1:{port}"}]
    config["sinks"] = [{"type": "webhook", "url": f"http://127.0.0.1:{receiver.port}/"}]
    (folder / "latency").mkdir()
    path = folder / "latency/samlog.yaml"
    path.write_bytes(orjson.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "samlog", "-q", "run", "-c", str(path)], stderr=subprocess.DEVNULL
    )
    try:
        sent = send(port, source, rate, receiver)
    finally:
        process.terminate()
        process.wait()
    delays = [receiver.arrived[name] - at for name, at in sent.items() if name in receiver.arrived]
    missing = len(sent) - len(delays)
    if len(delays) < 2:
        print(f"\nlatency: only {len(delays)} of {len(sent)} alerts came; nothing to tell")
        return
    cuts = quantiles(delays, n=100)
    print(
        f"\nlatency, receipt to alert received, at {rate:,.0f} events/s: p50 {cuts[49]:.2f} s, "
        f"p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s ({len(delays)} alerts, {missing} missing)"
    )


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(connection: HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/", body, {"Content-Type": "application/x-ndjson"})
    answer = connection.getresponse()
    answer.read()


def wait_until_up(port: int, receiver: Receiver) -> None:
    """Sends markers until the first alert is back: then rules are loaded and all stages run."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            if "warm" not in receiver.arrived:
                post(connection, orjson.dumps(marker("warm", time.time())) + b"\n")
            for _ in range(50):
                if "warm" in receiver.arrived:
                    return
                time.sleep(0.1)
        except OSError:
            time.sleep(0.2)
    raise SystemExit("latency: the pipeline did not come up within 120 s")


def marker(name: str, at: float) -> dict[str, Any]:
    return MARKER | {
        "Hostname": name,
        "User": f"BENCH\\{name}",
        "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + "Z",
    }


def send(port: int, source: Path, rate: float, receiver: Receiver) -> dict[str, float]:
    """Posts lines at ``rate`` for `SECONDS`, a marker now and then; returns when each was sent."""
    wait_until_up(port, receiver)
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    sent: dict[str, float] = {}
    lines = source.read_bytes().splitlines(keepends=True)
    turn_s = 1 / MARKERS_PER_S
    each = max(1, int(rate * turn_s))
    started = time.monotonic()
    for turn in range(SECONDS * MARKERS_PER_S):
        name = f"host{turn}"
        start = turn * each % max(1, len(lines) - each)
        now = time.time()
        sent[name] = now
        mark = orjson.dumps(marker(name, now)) + b"\n"
        post(connection, b"".join([*lines[start : start + each], mark]))
        pause = started + (turn + 1) * turn_s - time.monotonic()
        if pause > 0:
            time.sleep(pause)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not sent.keys() <= receiver.arrived.keys():
        time.sleep(0.1)
    return sent
