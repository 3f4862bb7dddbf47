"""``samlog run`` and ``samlog search`` from outside: exit codes, summaries, who may run when."""

import os
import socket
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from samlog import pipeline
from samlog.cli import run_
from samlog.config import Settings
from samlog.errors import ConfigError
from samlog.pipeline import load_settings
from samlog.slot import Slot
from samlog.testing import FakeClock

Cli = Callable[..., Any]


def test_until_idle_ends_with_a_summary_of_what_went_where(cli: Cli, deployment: Any) -> None:
    answer = cli("-q", "run", "--until-idle", "--config", deployment.config)

    assert answer.code == 0
    assert "read 2 · parsed 1 · rejected 1 (samlog dlq ls) · stored 2" in answer.err
    assert cli("search", "user.name:root", "--count", "-c", deployment.config).out == "1\n"


def test_json_tells_the_figures_of_every_stage(cli: Cli, deployment: Any) -> None:
    answer = cli("-q", "run", "--until-idle", "--json", "--config", deployment.config)

    (row,) = answer.rows
    assert (row["exit"], row["restarts"]) == (0, 0)
    assert row["stages"]["normalize"]["rejected"] == 1
    assert set(row["stages"]) == set(pipeline.STAGES)


def test_an_unknown_stage_is_a_usage_error_that_names_the_known(cli: Cli, deployment: Any) -> None:
    answer = cli("run", "corelate", "--config", deployment.config)

    assert answer.code == 2
    assert "unknown stage 'corelate'; known: collect, normalize" in answer.err


def test_finish_alone_is_a_usage_error(cli: Cli, deployment: Any) -> None:
    assert cli("run", "--finish", "--config", deployment.config).code == 2


def test_a_state_folder_that_cannot_be_used_is_a_configuration_error(
    cli: Cli, deployment: Any
) -> None:
    deployment.data.write_text("a file where the folder should be")

    answer = cli("run", "--until-idle", "--config", deployment.config)

    assert answer.code == 78
    assert "give it to the user that runs samlog" in answer.err


def test_a_health_port_that_was_asked_for_and_is_in_use_is_a_configuration_error(
    cli: Cli, deployment: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        deployment.write({"http": {"listen": listen}})

        answer = cli("run", "--until-idle", "--config", deployment.config)

    assert answer.code == 78
    assert "is another samlog running?" in answer.err


def settings(deployment: Any) -> Settings:
    return load_settings(deployment.config, {}).settings


def test_a_second_run_on_the_embedded_bus_is_refused_with_a_sentence(deployment: Any) -> None:
    state = settings(deployment).state_path
    other, stage = Slot(state, "run"), Slot(state, "detect")

    with pytest.raises(ConfigError, match=f"detect .process {os.getpid()}.*one on a machine"):
        run_.refuse_second(settings(deployment), ["normalize", "detect"], FakeClock())

    run_.refuse_second(settings(deployment), ["normalize"], FakeClock())
    other.close()
    stage.close()


def test_on_kafka_a_stage_may_run_twice_but_a_collector_may_not(deployment: Any) -> None:
    servers = {
        "bus": {"type": "kafka", "brokers": ["127.0.0.1:1"]},
        "store": {"type": "elasticsearch", "urls": ["http://127.0.0.1:1"]},
        "state": str(deployment.data),
    }
    deployment.write(servers)
    taken = [Slot(deployment.data, name) for name in ("run", "collect", "normalize", "store")]

    run_.refuse_second(settings(deployment), ["normalize", "store"], FakeClock())
    with pytest.raises(ConfigError, match="collect"):
        run_.refuse_second(settings(deployment), ["collect"], FakeClock())

    for slot in taken:
        slot.close()


class Frees(FakeClock):
    """A clock under which somebody else's process ends after a while."""

    def __init__(self, slot: Slot, after_s: float) -> None:
        super().__init__()
        self._slot = slot
        self._end_s = after_s

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.monotonic_s() > self._end_s:
            self._slot.close()


def test_stages_whose_supervisor_was_killed_are_waited_for(deployment: Any) -> None:
    clock = Frees(Slot(settings(deployment).state_path, "detect"), after_s=30)

    run_.refuse_second(settings(deployment), ["detect"], clock)

    assert 30 < clock.monotonic_s() < 31


def test_stages_that_do_not_come_to_their_end_are_refused_in_the_end(deployment: Any) -> None:
    orphan = Slot(settings(deployment).state_path, "detect")

    with pytest.raises(ConfigError, match="already running"):
        run_.refuse_second(settings(deployment), ["detect"], FakeClock())

    orphan.close()


def damage(deployment: Any, topic: str) -> None:
    """Overwrites the middle of a topic's file, as a broken disk does."""
    path = deployment.data / "bus" / f"{topic}.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def test_a_damaged_topic_is_rebuilt_and_the_run_goes_on(cli: Cli, deployment: Any) -> None:
    cli("-q", "run", "--until-idle", "--config", deployment.config)
    damage(deployment, "samlog.events")
    with deployment.log.open("ab") as log:
        log.write(
            b"Jan 10 13:38:01 w sshd[812]: Accepted password for ann from 192.0.2.1 port 9 ssh2\n"
        )

    answer = cli("-q", "run", "--until-idle", "--config", deployment.config)

    assert answer.code == 0, answer.err
    assert cli("search", "user.name:ann", "--count", "-c", deployment.config).out == "1\n"
    kept = [path.name for path in (deployment.data / "bus").glob("*.damaged-*")]
    assert any(name.startswith("samlog.events.sqlite.damaged-") for name in kept)


def test_search_without_a_hit_is_exit_code_1(cli: Cli, deployment: Any) -> None:
    assert cli("search", "*", "-c", deployment.config).code == 1


def test_search_of_another_units_events_is_refused_by_name(cli: Cli, deployment: Any) -> None:
    answer = cli("search", "*", "--unit", "enhedx", "-c", deployment.config)
    assert answer.code == 78
    assert "known: enheda, enhedb" in answer.err


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "1y", ""])
def test_a_time_that_is_none_says_what_can_be_written(cli: Cli, deployment: Any, when: str) -> None:
    answer = cli("search", "*", "--since", when or "h", "-c", deployment.config)
    assert answer.code == 78
    assert "24h, 7d for ago" in answer.err
