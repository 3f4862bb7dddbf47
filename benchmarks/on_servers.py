"""The whole path on a real Kafka and a real Elasticsearch, beside the ceiling of the latter."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.whole_path import PathFigures, configuration, run_path
from samlog.servers import Server, start_elasticsearch, start_kafka


def measure_servers(folder: Path, source: Path, events: int, rules: Path) -> None:
    """Prints what Elasticsearch alone takes, then events/s of the whole path on it and Kafka.

    Both figures are of servers that are warm. In a server just started Java compiles for longer
    than either takes, which then costs as much CPU as the documents: so all events go the whole
    path once before, as those of another unit.
    """
    with start_kafka() as kafka, start_elasticsearch() as elasticsearch:
        servers = {"Kafka": kafka, "Elasticsearch": elasticsearch}

        def whole_path(unit: str) -> PathFigures:
            config = configuration(folder / unit, rules, unit)
            config["bus"] = {"type": "kafka", "brokers": [kafka.address], "partitions": 2}
            config["store"] = {"type": "elasticsearch", "urls": [elasticsearch.url]}
            return run_path(
                folder / unit,
                config,
                source,
                events,
                others=lambda: {name: cpu_s(server) for name, server in servers.items()},
            )

        cold = whole_path("enhedb")
        print("\nElasticsearch alone\n" + ceiling(folder, source, elasticsearch.url))
        print(whole_path("enheda").table("whole path, Kafka and Elasticsearch"))
        print(f"before, on servers just started: {cold.per_second:,.0f} events/s")


def ceiling(folder: Path, source: Path, url: str) -> str:
    """Returns what Elasticsearch takes of the documents that ``source`` becomes."""
    parsed = folder / "normalised.ndjson"
    with parsed.open("wb") as out:
        samlog = [sys.executable, "-m", "samlog", "-q", "parse", str(source)]
        subprocess.run(samlog, check=True, stdout=out, stderr=subprocess.DEVNULL)
    command = [sys.executable, "-m", "benchmarks.elasticsearch_ceiling", "--url", url, str(parsed)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return ended.stdout or ended.stderr[-500:]


def cpu_s(server: Server) -> float:
    """Returns the CPU seconds of a server's processes, which are a session of their own."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(fields[3]) == server.session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
