"""Users and roles as deploy/elasticsearch/roles.yml gives them, on a server with security on."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samlog.clock import SystemClock
from samlog.errors import ConfigError
from samlog.servers import ElasticsearchServer, ServerError, User, start_elasticsearch
from samlog.store.base import Document, Outcome, Query
from samlog.store.elastic import ElasticsearchStore

pytestmark = pytest.mark.elasticsearch

ROLES = Path(__file__).parents[2] / "deploy" / "elasticsearch" / "roles.yml"
PASSWORD = "long enough"
STORE = User("store", PASSWORD, ("samlog_store",))
ANALYST = User("analyst", PASSWORD, ("samlog_reader_enheda",))
SHARED = User("shared", PASSWORD, ("samlog_search",))


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest) -> Iterator[ElasticsearchServer]:
    try:
        server = start_elasticsearch(
            users=[STORE, ANALYST, SHARED], roles_yml=ROLES.read_text(), heap_mb=512
        )
    except ServerError as problem:
        if "elasticsearch" in request.config.getoption("--require"):
            pytest.fail(str(problem), pytrace=False)
        pytest.skip(f"no Elasticsearch with security could be started: {problem}")
    with server, closing(opened(server, STORE)) as store:
        store.setup(["enheda", "enhedb"])
        store.write([event("a", "enheda"), event("b", "enhedb")])
        store.refresh()
        yield server


def opened(server: ElasticsearchServer, user: User, password: str = PASSWORD) -> ElasticsearchStore:
    return ElasticsearchStore(
        [server.url],
        units=["enheda", "enhedb"],
        clock=SystemClock(),
        user=user.name,
        password=password,
    )


def event(id_: str, unit: str) -> Document:
    return Document(f"logs-test.events-{unit}", id_, {"@timestamp": "2026-01-10T12:00:00.000Z"})


def test_the_store_user_may_do_what_the_store_stage_does(guarded: ElasticsearchServer) -> None:
    with closing(opened(guarded, STORE)) as store:
        store.rollover()
        assert [r.outcome for r in store.write([event("a", "enheda")])] == [Outcome.EXISTS]
        assert [r.outcome for r in store.replace([event("a", "enheda")])] == [Outcome.CREATED]
        assert store.check().problems == []


def test_a_wrong_password_is_told_in_a_sentence(guarded: ElasticsearchServer) -> None:
    with closing(opened(guarded, STORE, "wrong")) as store:
        (problem,) = store.check().problems
        assert "refused the user or key (401)" in problem
        assert "store.password_file" in problem
        with pytest.raises(ConfigError, match="401"):
            store.write([event("c", "enheda")])


def test_an_analyst_of_a_unit_sees_that_unit_only(guarded: ElasticsearchServer) -> None:
    with closing(opened(guarded, ANALYST)) as store:
        assert store.count(Query("*", ["enheda"])) == 1
        assert store.count(Query("*", ["enhedb"])) == 0
        assert store.count(Query("*", ["enheda", "enhedb"])) == 1


def test_an_analyst_can_neither_write_nor_delete(guarded: ElasticsearchServer) -> None:
    with closing(opened(guarded, ANALYST)) as store:
        with pytest.raises(ConfigError, match="403"):
            store.write([event("c", "enheda")])
        with pytest.raises(ConfigError, match="403"):
            store.replace([event("a", "enheda")])
        with pytest.raises(ConfigError, match="403"):
            store.rollover()
    with closing(opened(guarded, SHARED)) as store:
        assert store.count(Query("*", ["enheda", "enhedb"])) == 2
        with pytest.raises(ConfigError, match="403"):
            store.write([event("c", "enheda")])
