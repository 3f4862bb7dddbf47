"""Where tests find real servers, and what happens when there is none.

Order: an address in the environment, a container if a Docker engine answers, a native process from
Maven's artifacts, else skip. ``--require kafka,elasticsearch`` turns the skip into a failure.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from samlog.servers import (
    ElasticsearchServer,
    KafkaServer,
    ServerError,
    start_elasticsearch,
    start_kafka,
)

# A busy machine is no finding: no test may depend on how fast it runs.
settings.register_profile("samlog", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("samlog")

T = TypeVar("T")
SERVERS = {"kafka": "SAMLOG_TEST_KAFKA", "elasticsearch": "SAMLOG_TEST_ELASTICSEARCH"}
ELASTICSEARCH_IMAGE = "elasticsearch:8.19.0"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        help="servers (kafka,elasticsearch) without which tests fail instead of being skipped",
    )


def pytest_configure(config: pytest.Config) -> None:
    unknown = _required(config) - SERVERS.keys()
    if unknown:
        raise pytest.UsageError(f"--require knows {', '.join(SERVERS)}, not {min(unknown)}")


def _required(config: pytest.Config) -> set[str]:
    return {name for name in config.getoption("--require").split(",") if name}


def missing(config: pytest.Config, name: str, why: str) -> NoReturn:
    """Skips the test, or fails it where the server is required."""
    sentence = (
        f"no {name} server: {SERVERS[name]} is not set, no Docker engine answers, "
        f"and a native process could not be started: {why}"
    )
    if name in _required(config):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def docker_answers() -> bool:
    """Tells whether a Docker engine answers a ping within two seconds."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=2)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _found(
    config: pytest.Config,
    name: str,
    container: Callable[[ExitStack], str],
    native: Callable[[ExitStack], str],
) -> Iterator[str]:
    if address := os.environ.get(SERVERS[name]):
        yield address
        return
    with ExitStack() as stack:
        if docker_answers():
            yield container(stack)
            return
        yield _native(config, name, lambda: native(stack))


def _kafka_container(stack: ExitStack) -> str:
    from testcontainers.kafka import KafkaContainer

    container = stack.enter_context(KafkaContainer().with_kraft())
    return str(container.get_bootstrap_server())


def _elasticsearch_container(stack: ExitStack) -> str:
    from testcontainers.elasticsearch import ElasticSearchContainer

    container = stack.enter_context(ElasticSearchContainer(ELASTICSEARCH_IMAGE, mem_limit="2G"))
    host, port = container.get_container_host_ip(), container.get_exposed_port(container.port)
    return f"http://{host}:{port}"


@pytest.fixture(scope="session")
def kafka_address(request: pytest.FixtureRequest) -> Iterator[str]:
    """``host:port`` of a Kafka broker that the whole run shares: use topic names of your own."""
    yield from _found(
        request.config,
        "kafka",
        _kafka_container,
        lambda stack: stack.enter_context(start_kafka()).address,
    )


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """``http://host:port`` of an Elasticsearch that the whole run shares: use your own units."""
    yield from _found(
        request.config,
        "elasticsearch",
        _elasticsearch_container,
        lambda stack: stack.enter_context(start_elasticsearch()).url,
    )


@pytest.fixture(scope="module")
def _module_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    with _native(request.config, "kafka", start_kafka) as server:
        yield server


@pytest.fixture
def own_kafka(_module_kafka: KafkaServer) -> KafkaServer:
    """A running broker that no other module uses: the test may stop, kill and restart it."""
    _module_kafka.start()
    return _module_kafka


@pytest.fixture(scope="module")
def _module_elasticsearch(request: pytest.FixtureRequest) -> Iterator[ElasticsearchServer]:
    with _native(request.config, "elasticsearch", start_elasticsearch) as server:
        yield server


@pytest.fixture
def own_elasticsearch(_module_elasticsearch: ElasticsearchServer) -> ElasticsearchServer:
    """A running node that no other module uses: the test may stop, kill and restart it."""
    _module_elasticsearch.start()
    return _module_elasticsearch


def _native(config: pytest.Config, name: str, start: Callable[[], T]) -> T:
    try:
        return start()
    except ServerError as error:
        missing(config, name, str(error))
