"""Whatever a log, a rule or a configuration says, an alert is valid and below its limit."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import envelope
from alerts.envelope import Evidence, Observable, State, problems
from alerts.fit import MAX_BYTES, ROOM, cut
from samlog.config import UnitDefaults

texts = st.builds(
    lambda part, times: part * times,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    st.sampled_from([1, 60, 300, 60_000]),
)
TIMES = dict.fromkeys(("first_seen", "last_seen", "detected", "sent"), "2026-01-10T12:00:00.000Z")


def build(text: Any, **given: Any) -> bytes:
    """Returns an alert with all it may hold; ``text()`` gives each of its texts."""
    rule = {name: text() for name in ("id", "title", "author", "level", "log_class", "rule_set")}
    firing = {"state": "final", "type": text(), "count": 1, "first": text(), "value": 2**63}
    context = {"host.name": text(), "host.ip": [text() for _ in range(40)]}
    known = {"samlog.environment": text(), "samlog.layer": text(), "samlog.system": text()}
    made: dict[str, Any] = {
        "alert_id": "01900000-0000-7000-8000-000000000000",
        "seq": 1,
        "revision": 2,
        "key": "sha256:" + "ab" * 32,
        "unit": "enheda",
        "rule": rule | {"attack": [text() for _ in range(40)], "tags": [], "sha256": text()},
        "subject_": envelope.subject(context | known, UnitDefaults(municipality=text())),
        "defaults": UnitDefaults(accountable=text()),
        "times": TIMES,
        "count": 2**63,
        "evidence": [Evidence(text(), text(), text(), text()) for _ in range(60)],
        "seen": [Observable("source", "hostname", text() + str(n)) for n in range(60)],
        "state": State("new", TIMES["sent"], text()),
        "actions": [text() for _ in range(40)],
        "firings": [firing] * 20,
    }
    return envelope.build(**(made | given))


@given(st.data())
def test_an_alert_fits_whatever_its_texts_are(data: st.DataObject) -> None:
    few = data.draw(st.lists(texts, min_size=1, max_size=4))
    turn = iter(range(10_000))

    body = build(lambda: few[next(turn) % len(few)])

    assert len(body) <= MAX_BYTES
    assert problems(orjson.loads(body)) == []


def test_a_host_with_a_name_without_end_costs_no_evidence() -> None:
    context = {"host.name": "h" * 200_000}
    evidence = [Evidence("logs-x-enheda", f"{n:032x}", "cd" * 32, "LC-04") for n in range(50)]

    body = build(
        lambda: "short",
        subject_=envelope.subject(context, UnitDefaults()),
        seen=[Observable("target", "hostname", "h" * 200_000)],
        evidence=evidence,
    )

    alert = orjson.loads(body)
    assert len(alert["evidence"]) == 50
    assert alert["subject"]["assets"][0]["id"] == "h" * (ROOM * 7 // 8) + "…"
    assert alert["summary"]["da"].startswith("short: ")


@given(texts, st.sampled_from([16, 256, 1024]))
def test_a_text_is_cut_to_its_room_and_shows_it(text: str, room: int) -> None:
    kept = cut(text, room)

    assert len(orjson.dumps(kept)) - 2 <= room
    assert kept == text or (kept.endswith("…") and text.startswith(kept[:-1]))


@pytest.mark.parametrize("length", [0, 1, 255, 256])
def test_a_text_that_fits_stays_as_it_is(length: int) -> None:
    assert cut("x" * length) == "x" * length
