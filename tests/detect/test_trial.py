"""A rule without good samples is seen, whichever way they are bad."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from detect.engine import Engine
from detect.trial import Trial, samples_of, trials
from samlog.event import Event

FIRES = {"event.dataset": "nginx.access", "url.path": "/evil"}
NEAR = {"event.dataset": "nginx.access", "url.path": "/good"}
FAR = {"event.dataset": "aws.cloudtrail", "event.action": "x"}

Try = Callable[..., Trial]


def read(file: Path) -> Iterator[tuple[str, list[Event]]]:
    """A reader of samples that are events already; an empty object is a rejected record."""
    for n, line in enumerate(file.read_bytes().splitlines(), 1):
        event = orjson.loads(line)
        yield f"{file.name}:{n}", [event] if event else []


@pytest.fixture
def trial(tmp_path: Path, rule: Callable[..., dict[str, Any]]) -> Try:
    """Returns a function that tries a rule for /evil on samples given as events."""

    def tried(**samples: list[Mapping[str, Any]]) -> Trial:
        document = rule(
            {"selection": {"cs-uri-stem": "/evil"}}, logsource={"category": "webserver"}
        )
        (tmp_path / "web_x.yml").write_text(yaml.safe_dump(document), "utf-8")
        for kind, events in samples.items():
            lines = b"".join(orjson.dumps(event) + b"\n" for event in events)
            (tmp_path / f"web_x.{kind}.ndjson").write_bytes(lines)
        return next(trials(tmp_path, Engine.load([tmp_path]), read))

    return tried


def test_a_rule_that_fires_where_it_shall_and_only_there_is_ok(trial: Try) -> None:
    found = trial(match=[FIRES, FIRES], nomatch=[NEAR])

    assert (found.verdict, found.records, found.problems) == ("ok", 3, ())


def test_a_rule_without_samples_is_no_success(trial: Try) -> None:
    assert trial().verdict == "?"


def test_one_kind_of_samples_is_not_enough(trial: Try) -> None:
    assert trial(match=[FIRES]).verdict == "?"


def test_every_record_of_match_has_to_fire(trial: Try) -> None:
    found = trial(match=[FIRES, NEAR], nomatch=[NEAR])

    assert found.verdict == "FAIL"
    assert found.problems == ("web_x.match.ndjson:2 does not fire",)


def test_no_record_of_nomatch_may_fire(trial: Try) -> None:
    found = trial(match=[FIRES], nomatch=[NEAR, FIRES])

    assert found.problems == ("web_x.nomatch.ndjson:2 fires",)


def test_near_misses_of_another_logsource_prove_nothing(trial: Try) -> None:
    found = trial(match=[FIRES], nomatch=[FAR])

    assert found.verdict == "FAIL"
    assert "nothing is proven" in found.problems[0]


def test_an_empty_sample_fails(trial: Try) -> None:
    assert trial(match=[FIRES], nomatch=[]).problems == ("web_x.nomatch.ndjson holds no record",)


def test_a_sample_that_cannot_be_parsed_fails(trial: Try) -> None:
    found = trial(match=[FIRES, {}], nomatch=[NEAR])

    assert found.problems == ("web_x.match.ndjson:2 is no log that samlog reads",)


@pytest.mark.parametrize("place", ["", "samples", "../samples", "../../samples"])
def test_samples_are_beside_the_rule_or_in_a_folder_of_that_name(
    tmp_path: Path, place: str
) -> None:
    rule = tmp_path / "a" / "b" / "x.yml"
    folder = rule.parent / place
    for needed in (rule.parent, folder.resolve()):
        needed.mkdir(parents=True, exist_ok=True)
    (folder / "x.match.log").write_text("1", "utf-8")
    (folder / "x.nomatch.json").write_text("2", "utf-8")
    (folder / "xy.match.log").write_text("3", "utf-8")

    found = samples_of(rule)

    assert [p.name for p in found.match] == ["x.match.log"]
    assert [p.name for p in found.nomatch] == ["x.nomatch.json"]
