"""Queries made of rules in a real Elasticsearch, through the store that ``samlog hunt`` opens."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest

from samlog.clock import SystemClock
from samlog.errors import ConfigError
from samlog.hunt import Hunt
from samlog.store.base import Document, Query
from samlog.store.elastic import ElasticsearchStore

pytestmark = pytest.mark.elasticsearch

VALUES = {"1": "C:\\Vssadmin.exe", "2": "c:\\VSSADMIN.EXE delete", "3": "other"}
F = "winlog.event_data.F"


@pytest.fixture
def hunted(elasticsearch_url: str) -> Iterator[tuple[ElasticsearchStore, str]]:
    unit = "t" + secrets.token_hex(6)
    with closing(
        ElasticsearchStore([elasticsearch_url], units=[unit], clock=SystemClock())
    ) as store:
        store.setup([unit])
        store.write(
            [
                Document(
                    f"logs-test.events-{unit}",
                    id_,
                    {"@timestamp": f"2026-01-10T12:00:0{id_}Z", F: v},
                )
                for id_, v in VALUES.items()
            ]
        )
        store.refresh()
        yield store, unit


def found(hunted: tuple[ElasticsearchStore, str], text: str) -> list[str]:
    store, unit = hunted
    return [hit.id for hit in Hunt(store, Query(text, [unit]), lambda event: True).found()]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"{F}.caseless:*vssadmin\\.exe*", ["2", "1"]),
        (f"{F}:/.*Vss.*/", ["1"]),
        (f"(*:* AND (NOT {F}:/.*Vss.*/))", ["3", "2"]),
        ("(winlog.\\*.caseless:*vssadmin* OR message:*vssadmin*)", ["2", "1"]),
        (f'({F}.caseless:"other" OR (NOT _exists_:{F}))', ["3"]),
    ],
)
def test_elasticsearch_reads_the_query_itself(
    hunted: tuple[ElasticsearchStore, str], text: str, ids: list[str]
) -> None:
    assert found(hunted, text) == ids


def test_what_is_too_complex_is_an_error_and_not_an_empty_answer(
    hunted: tuple[ElasticsearchStore, str],
) -> None:
    with pytest.raises(ConfigError):
        found(hunted, f"{F}:/.*[^x]{{900,}}.*/")
