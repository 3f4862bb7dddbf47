"""How many events a second Elasticsearch itself takes, with samlog's documents and mapping.

Requests are finished bytes before the clock starts; each connection sends one after the other. The
best of several numbers of connections is the ceiling that the store stage is compared with. Nothing
else should run beside it. Run it with
``samlog parse windows.ndjson.gz | python benchmarks/elasticsearch_ceiling.py -``; without ``--url``
it starts a server of its own.
"""

import argparse
import secrets
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import orjson

from samlog.clock import SystemClock
from samlog.servers import start_elasticsearch
from samlog.store.base import Document
from samlog.store.elastic import ElasticsearchStore
from samlog.store.elastic_bulk import create_line
from samlog.store.elastic_client import Server

CONNECTIONS = (1, 2, 4, 8)
WARM_UP = 5_000


def requests_of(events: Sequence[bytes], unit: str, batch: int) -> list[bytes]:
    """Returns bulk requests of ``batch`` events for ``unit``'s data streams."""
    bodies = []
    for start in range(0, len(events), batch):
        lines = []
        for place, line in enumerate(events[start : start + batch]):
            event = orjson.loads(line)
            stream = f"logs-{event['data_stream.dataset']}-{unit}"
            lines.append(create_line(place, Document(stream, event["event.id"], event)).data)
        bodies.append(b"".join(lines))
    return bodies


def rate(url: str, events: Sequence[bytes], connections: int, batch: int) -> float:
    """Returns events/s into new data streams; refuses to count when one was not created."""
    unit = "bench" + secrets.token_hex(4)
    with (
        closing(ElasticsearchStore([url], units=[unit], clock=SystemClock())) as store,
        closing(Server([url], connections=connections)) as server,
        ThreadPoolExecutor(connections) as threads,
    ):
        store.setup([unit])
        bodies = requests_of(events, unit, batch)

        def send(body: bytes) -> None:
            params = {"filter_path": "items.*.error"}
            refused = server.call("POST", "/_bulk", body, params=params, lines=True)
            if refused:
                raise SystemExit(f"refused: {str(refused)[:500]}")

        started = time.perf_counter()
        list(threads.map(send, bodies))
        return len(events) / (time.perf_counter() - started)


def ceiling(
    url: str, events: Sequence[bytes], *, rounds: int = 1, batch: int = 500
) -> dict[int, float]:
    """Returns the median events/s per number of connections; rounds are interleaved."""
    rate(url, events[:WARM_UP], max(CONNECTIONS), batch)
    rates: dict[int, list[float]] = {connections: [] for connections in CONNECTIONS}
    for _ in range(rounds):
        for connections, measured in rates.items():
            measured.append(rate(url, events, connections, batch))
    return {connections: statistics.median(measured) for connections, measured in rates.items()}


def report(rates: dict[int, float], lines: int, size: float) -> str:
    """Returns the table and the ceiling."""
    rows = [f"{connections} connections {found:8,.0f}/s" for connections, found in rates.items()]
    best = max(rates.values())
    return "\n".join([*rows, f"ceiling {best:,.0f}/s with {lines:,} events of {size:,.0f} bytes"])


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="normalised events, NDJSON; - is stdin")
    parser.add_argument("--url", help="server to measure; default: one of its own")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=500, help="events in a request")
    parser.add_argument("--limit", type=int, help="only so many events")
    parser.add_argument("--heap-mb", type=int, default=2048, help="heap of its own server")
    given = parser.parse_args(None if arguments is None else list(arguments))
    source = sys.stdin.buffer.read() if given.file == "-" else Path(given.file).read_bytes()
    events = source.splitlines()[: given.limit]
    size = sum(map(len, events)) / max(1, len(events))
    if given.url:
        rates = ceiling(given.url, events, rounds=given.rounds, batch=given.batch)
    else:
        with start_elasticsearch(heap_mb=given.heap_mb) as server:
            rates = ceiling(server.url, events, rounds=given.rounds, batch=given.batch)
    print(report(rates, len(events), size))


if __name__ == "__main__":
    main()
