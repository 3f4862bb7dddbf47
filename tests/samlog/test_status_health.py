"""What stages say of themselves, and what the health pages make of it."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from samlog import health, slot, status
from samlog.errors import ConfigError, Unavailable
from samlog.health import HealthServer, page
from samlog.slot import Slot
from samlog.status import StatusFile, Tally
from samlog.testing import FakeClock

NOW = 1_000.0


def states(**told: dict[str, object]) -> dict[str, dict[str, object]]:
    return {name: {"at": NOW, **state} for name, state in told.items()}


def test_a_status_is_written_at_most_once_a_second(tmp_path: Path) -> None:
    clock = FakeClock()
    file = StatusFile(tmp_path, "detect", clock)
    file.write({"taken": 1})
    file.write({"taken": 2})
    assert status.read_all(tmp_path)["detect"]["taken"] == 1

    clock.advance(1)
    file.write({"taken": 3})

    told = status.read_all(tmp_path)["detect"]
    assert told["taken"] == 3
    assert told["stage"] == "detect"
    assert told["at"] == clock.now().timestamp()


def test_a_status_that_is_no_json_is_left_out(tmp_path: Path) -> None:
    StatusFile(tmp_path, "detect", FakeClock()).write({})
    (status.folder(tmp_path) / "store.json").write_bytes(b"{half")

    assert list(status.read_all(tmp_path)) == ["detect"]


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = StatusFile(tmp_path, "detect", FakeClock())
    status.folder(tmp_path).rmdir()

    file.write({"taken": 1})

    assert status.read_all(tmp_path) == {}


def test_clearing_leaves_what_a_running_process_says(tmp_path: Path) -> None:
    clock = FakeClock()
    for name in ("detect", "store"):
        StatusFile(tmp_path, name, clock).write({})
    running = Slot(tmp_path, "store")

    status.clear(tmp_path)

    assert list(status.read_all(tmp_path)) == ["store"]
    running.close()


def test_processes_of_a_stage_get_different_numbers_and_a_freed_one_is_given_again(
    tmp_path: Path,
) -> None:
    first, second = Slot(tmp_path, "detect"), Slot(tmp_path, "detect")
    assert (first.number, first.suffix, second.number, second.suffix) == (0, "", 1, "-1")

    first.close()

    assert Slot(tmp_path, "detect").number == 0


def test_the_holder_of_a_number_is_known(tmp_path: Path) -> None:
    import os

    taken = Slot(tmp_path, "detect")
    assert slot.holder(tmp_path, "detect") == os.getpid()
    assert slot.holder(tmp_path, "detect", 1) == 0

    taken.close()

    assert slot.holder(tmp_path, "detect") == 0


def test_a_number_whose_holder_died_is_free(tmp_path: Path) -> None:
    Slot(tmp_path, "detect").close()
    (tmp_path / "run" / "detect-0.lock").write_text("1")  # a process that lives and holds nothing

    assert slot.holder(tmp_path, "detect") == 0


def test_a_state_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.touch()

    with pytest.raises(Unavailable, match="state folder"):
        Slot(file, "detect")


def test_figures_of_replaced_processes_are_added_up(tmp_path: Path) -> None:
    tally = Tally(tmp_path)
    file = status.folder(tmp_path) / "detect.json"
    file.parent.mkdir()

    def told(pid: int, taken: int) -> None:
        body = {"stage": "detect", "pid": pid, "at": 1.0, "taken": taken, "began": 5.0 / pid}
        file.write_bytes(orjson.dumps(body))

    told(1, 10)
    tally.ended(1)
    told(2, 32)

    assert tally.totals({1, 2}) == {"detect": {"taken": 42, "began": 2.5}}
    assert list(tally.present({2})) == ["detect"]
    assert tally.present({1}) == {}


def test_a_stage_that_turned_lately_is_alive_and_ready() -> None:
    assert health.live(states(detect={}), NOW + 60) == {}
    assert health.ready(states(detect={}), NOW + 60) == {}


def test_a_silent_stage_is_neither() -> None:
    told = {"detect": "last sign of life 61 s ago"}
    assert health.live(states(detect={}), NOW + 61) == told
    assert health.ready(states(detect={}), NOW + 61) == told


def test_a_server_that_is_down_makes_a_stage_unready_and_not_dead() -> None:
    told = states(store={"problem": "Elasticsearch does not answer"})
    assert health.live(told, NOW) == {}
    assert health.ready(told, NOW) == {"store": "Elasticsearch does not answer"}


def test_a_finished_stage_may_be_silent() -> None:
    assert health.live(states(collect={"finished": True}), NOW + 3600) == {}


def test_before_any_stage_has_started_nothing_is_ready() -> None:
    assert health.ready({}, NOW) == {"samlog": "no stage has started yet"}
    assert health.ready(states(detect={"starting": True}), NOW) == {"detect": "starting"}


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/readyz?verbose"])
def test_an_unready_stage_is_a_503_with_the_reason(path: str) -> None:
    code, kind, body = page(path, lambda: states(store={"problem": "down"}), lambda: NOW, bytes)

    assert (code, kind) == (503, "application/json")
    assert orjson.loads(body)["problems"] == {"store": "down"}


def test_livez_is_a_200_while_loops_turn() -> None:
    assert page("/livez", lambda: states(store={"problem": "x"}), lambda: NOW, bytes)[0] == 200


def test_another_path_says_which_there_are() -> None:
    code, _, body = page("/", dict, lambda: NOW, bytes)
    assert code == 404
    assert b"/readyz" in body


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield f"127.0.0.1:{holder.getsockname()[1]}"


def serve(listen: str, **options: bool) -> HealthServer:
    return HealthServer(
        listen, lambda: states(detect={}), lambda: NOW, lambda: b"samlog_x 1\n", **options
    )


def test_the_pages_are_served() -> None:
    server = serve("127.0.0.1:0")
    connection = http.client.HTTPConnection(server.address, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (200, b"samlog_x 1\n")
    connection.close()
    server.close()
    server.close()


def test_a_port_in_use_is_a_sentence(taken: str) -> None:
    with pytest.raises(ConfigError, match=r"in use.*is another samlog running"):
        serve(taken)


def test_a_default_port_in_use_is_replaced_by_a_free_one(taken: str) -> None:
    server = serve(taken, any_port=True)

    assert server.address not in (taken, "127.0.0.1:0")
    server.close()


@pytest.mark.parametrize("listen", ["127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http"])
def test_what_is_no_address_is_told(listen: str) -> None:
    with pytest.raises(ConfigError, match="http.listen"):
        serve(listen).close()
