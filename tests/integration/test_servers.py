"""The start-up code of real servers, on stand-in programs: they come, and never stay behind."""

import os
import select
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from samlog.servers import Server, ServerError, artifacts, process

ROOT = Path(__file__).parents[2]

# Stands in for mvn: notes each run, and writes one jar into the folder it is told.
FAKE_MAVEN = """#!/bin/sh
echo run >> "$RUNS"
for word in "$@"; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
echo jar > "$folder/broker.jar"
"""


class Sleeper(Server):
    """A server that never answers."""

    name = "sleeper"
    script = "echo started; exec sleep 60"

    def command(self) -> list[str]:
        return ["sh", "-c", self.script]

    def ready(self) -> bool:
        return False


@pytest.fixture
def maven_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the stand-in for mvn on the path and an empty cache in place; returns its notes."""
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(FAKE_MAVEN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_server_that_never_answers_is_killed_and_shows_its_log(tmp_path: Path) -> None:
    server = Sleeper(tmp_path, process.free_port(), deadline_s=1.0)
    with pytest.raises(ServerError, match=r"did not answer within 1 s(.|\n)*started"):
        server.start()
    assert not server.running


def test_a_server_that_ends_at_start_shows_its_code_and_log(tmp_path: Path) -> None:
    server = Sleeper(tmp_path, process.free_port(), deadline_s=30.0)
    server.script = "echo bad heap; exit 3"
    with pytest.raises(ServerError, match=r"ended with code 3(.|\n)*bad heap"):
        server.start()


def test_a_temporary_folder_is_removed_on_close_and_a_given_one_stays(tmp_path: Path) -> None:
    given, own = Sleeper(tmp_path, 0, deadline_s=1.0), Sleeper(None, 0, deadline_s=1.0)
    for server in (given, own):
        server.close()
        server.close()
    assert tmp_path.exists()
    assert not own.folder.exists()


def test_folders_of_processes_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as ended:
        pass
    left = tmp_path / f"samlog-server-kafka-{ended.pid}-abc"
    living = tmp_path / f"samlog-server-kafka-{os.getppid()}-abc"
    foreign = tmp_path / "samlog-server-notes"
    for folder in (left, living, foreign):
        folder.mkdir()
    process.temporary_folder("kafka")
    assert [left.exists(), living.exists(), foreign.exists()] == [False, True, True]


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from samlog.servers.process import Server
class Sleeper(Server):
    def command(self): return ["sh", "-c", "echo $$; exec sleep 60"]
    def ready(self): return self.log.read_text().endswith("\\n")
Sleeper(pathlib.Path({str(tmp_path)!r}), 0, deadline_s=30.0).start()
print("up", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        server = os.pidfd_open(int((tmp_path / "server.log").read_text()))
        parent.kill()
    try:
        assert select.select([server], [], [], 10.0)[0], "the server outlived its parent"
    finally:
        os.close(server)


def test_two_that_fetch_at_once_fetch_once(maven_runs: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: artifacts.kafka_jars(), range(4)))
    assert maven_runs.read_text() == "run\n"
    assert [(folder / "broker.jar").exists() for folder in folders] == [True]


def test_a_failed_fetch_shows_what_maven_said_and_leaves_nothing(maven_runs: Path) -> None:
    program = maven_runs.parent / "bin" / "mvn"
    program.write_text("#!/bin/sh\necho 'no such artifact' >&2\nexit 1\n")
    with pytest.raises(ServerError, match="no such artifact"):
        artifacts.kafka_jars()
    program.write_text(FAKE_MAVEN)
    assert (artifacts.kafka_jars() / "broker.jar").exists()


def test_without_maven_the_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"Maven \(mvn\) is not installed"):
        artifacts.elasticsearch_home()


def test_without_java_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="install a JRE of version 17"):
        artifacts.java()
