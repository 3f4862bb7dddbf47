"""What is typed wrongly or cannot work is told before anything is done, never passed over."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samlog import pipeline
from samlog.cli import alerts_
from samlog.cli.finding import look
from samlog.errors import ConfigError, Exit

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["search", "*", "--since", ""], "is no time"),
        (["search", "*", "--since", "1h", "--until", "48h"], "nothing lies between"),
        (["search", "*", "--dataset", "system.*"], "is no dataset"),
        (["search", "*", "--limit", "-5"], "-5 is not in the range"),
        (["alerts", "ls", "--limit", "0"], "0 is not in the range"),
        (["alerts", "ls", "--status", "foo"], "is not one of"),
        (["alerts", "ls", "--unit", "nosuch"], "unknown unit 'nosuch'"),
        (["dlq", "ls", "--unit", "nosuch"], "unknown unit 'nosuch'"),
        (["rules", "stats", "--unit", "nosuch"], "unknown unit 'nosuch'"),
    ],
)
def test_what_would_find_nothing_is_refused(
    cli: Cli, deployment: Any, words: list[str], sentence: str
) -> None:
    cli("-q", "run", "--until-idle", "-c", deployment.config)

    answer = cli(*words, "-c", deployment.config)

    assert answer.code in (2, 78)
    assert sentence in answer.err


def test_parse_refuses_a_zone_that_is_none(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x\n")

    answer = cli("parse", "--tz", "Europe/Kopenhagen", str(tmp_path / "a.log"))

    assert answer.code == 78
    assert "there is no zone" in answer.err


LISTENING = {"type": "syslog", "unit": "enheda", "listen": "127.0.0.1:15514"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sources": [LISTENING, LISTENING]}, "are both"),
        ({"sources": [LISTENING, LISTENING | {"listen": "0.0.0.0:15514"}]}, "are both"),
        ({"sources": [{**LISTENING, "type": "http", "listen": "127.0.0.1:9600"}]}, "http.listen"),
        ({"http": {"listen": "9600"}}, "is no address"),
        (
            {"store": {"type": "elasticsearch", "urls": ["https://elastic:hunter2@es1:9200"]}},
            "no user and password",
        ),
        ({"sinks": [{"type": "webhook", "url": "https://u:p@cert.example/"}]}, "no user and"),
        ({"sinks": [{"type": "webhook", "url": "https://"}]}, "url"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    deployment: Any, changes: dict[str, Any], sentence: str
) -> None:
    deployment.write({"http": {"listen": "127.0.0.1:9600"}} | changes)

    with pytest.raises(ConfigError, match=sentence):
        pipeline.load_settings(deployment.config, {})


def test_two_protocols_may_share_a_port(deployment: Any) -> None:
    udp, tcp = (LISTENING | {"protocol": name} for name in ("udp", "tcp"))
    deployment.write({"sources": [udp, tcp]})

    assert len(pipeline.load_settings(deployment.config, {}).settings.sources) == 2


def test_a_parser_that_is_none_is_refused_with_the_nearest_name(cli: Cli, deployment: Any) -> None:
    deployment.write({"sources": [LISTENING | {"source": "linux_aut"}]})

    answer = cli("check", deployment.config)

    assert answer.code == 78
    assert "did you mean 'linux_auth'?" in answer.err


def test_a_user_without_a_name_may_decide_about_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(alerts_.getpass, "getuser", nobody)

    assert alerts_._user() == f"uid {os.getuid()}"


def test_a_folder_that_cannot_be_looked_at_is_a_finding_among_others() -> None:
    def check_one(_: Any) -> Any:
        raise PermissionError(13, "Permission denied", "/data/run")

    (finding,) = look([check_one], None)  # type: ignore[arg-type]  # the check looks at nothing

    assert finding.about == "one"
    assert "/data/run cannot be looked at: Permission denied" in finding.what
    assert finding.exit == Exit.CONFIG
