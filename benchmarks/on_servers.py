"""The whole path on a real Kafka and a real Elasticsearch, beside the ceiling of the latter."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.whole_path import configuration, run_path
from samlog.servers import Server, start_elasticsearch, start_kafka


def measure_servers(folder: Path, source: Path, events: int, rules: Path) -> None:
    """Prints what Elasticsearch alone takes, then events/s of the whole path on it and Kafka.

    In this order, because a server just started takes twice the CPU for the same documents: its
    virtual machine still compiles. Both figures are of one that is warm.
    """
    with start_kafka() as kafka, start_elasticsearch() as elasticsearch:
        (folder / "servers").mkdir()
        parsed = folder / "servers/normalised.ndjson"
        with parsed.open("wb") as out:
            samlog = [sys.executable, "-m", "samlog", "-q", "parse", str(source)]
            subprocess.run(samlog, check=True, stdout=out, stderr=subprocess.DEVNULL)
        ceiling = [sys.executable, "-m", "benchmarks.elasticsearch_ceiling"]
        ended = subprocess.run(
            [*ceiling, "--url", elasticsearch.url, str(parsed)],
            check=False,
            capture_output=True,
            text=True,
        )
        print("\nElasticsearch alone\n" + (ended.stdout or ended.stderr[-500:]))
        config = configuration(folder / "servers", rules)
        config["bus"] = {"type": "kafka", "brokers": [kafka.address], "partitions": 2}
        config["store"] = {"type": "elasticsearch", "urls": [elasticsearch.url]}
        servers = {"Kafka": kafka, "Elasticsearch": elasticsearch}
        figures = run_path(
            folder / "servers",
            config,
            source,
            events,
            others=lambda: {name: cpu_s(server) for name, server in servers.items()},
        )
        print(figures.table("whole path, Kafka and Elasticsearch"))


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
