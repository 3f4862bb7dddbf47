"""``python -m samlog.servers``: a Kafka and an Elasticsearch until Ctrl-C (``make servers``)."""

import signal
import sys
import threading
from pathlib import Path

import click

from samlog.errors import Exit
from samlog.servers.artifacts import elasticsearch_home, kafka_jars
from samlog.servers.elasticsearch import start_elasticsearch
from samlog.servers.kafka import start_kafka
from samlog.servers.process import ServerError

_SNIPPET = """\
# in samlog.yaml:
#   bus: {{type: kafka, brokers: ["{kafka}"]}}
#   store: {{type: elasticsearch, urls: ["{elasticsearch}"]}}"""


@click.command()
@click.option("--fetch-only", is_flag=True, help="Fetch what the servers need, start nothing.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the data here instead of in a temporary folder.",
)
@click.option("--kafka-port", default=0, help="Port of the broker; 0 takes a free one.")
@click.option("--elasticsearch-port", default=0, help="Port of Elasticsearch; 0 takes a free one.")
def main(fetch_only: bool, folder: Path | None, kafka_port: int, elasticsearch_port: int) -> None:
    """Starts a Kafka and an Elasticsearch on this machine, without containers.

    Example: python -m samlog.servers --folder ./data/servers

    Prints the addresses as SAMLOG_TEST_KAFKA=... and SAMLOG_TEST_ELASTICSEARCH=..., which the
    tests read from the environment, and the lines for a configuration. Both run until Ctrl-C.
    """
    try:
        if fetch_only:
            click.echo(kafka_jars(), err=True)
            click.echo(elasticsearch_home(), err=True)
            return
        _serve(folder, kafka_port, elasticsearch_port)
    except ServerError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(Exit.UNAVAILABLE)


def _serve(folder: Path | None, kafka_port: int, elasticsearch_port: int) -> None:
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    click.echo("starting Kafka and Elasticsearch (about 15 s) ...", err=True)
    with (
        start_kafka(folder and folder / "kafka", port=kafka_port) as kafka,
        start_elasticsearch(
            folder and folder / "elasticsearch", port=elasticsearch_port
        ) as elasticsearch,
    ):
        click.echo(f"SAMLOG_TEST_KAFKA={kafka.address}")
        click.echo(f"SAMLOG_TEST_ELASTICSEARCH={elasticsearch.url}")
        click.echo(_SNIPPET.format(kafka=kafka.address, elasticsearch=elasticsearch.url))
        click.echo("both run until Ctrl-C", err=True)
        while not end.wait(1.0):
            for server in (kafka, elasticsearch):
                if not server.running:
                    raise ServerError(server.failure("ended by itself"))


if __name__ == "__main__":
    main()
