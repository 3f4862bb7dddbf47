"""Where tests look for a server, run in a pytest of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INNER = """
def test_it(kafka_address):
    assert kafka_address == "broker.test:9092"
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with one test and tests/conftest.py, on a machine without any server."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_inner.py").write_text(INNER)
    for name in ("SAMLOG_TEST_KAFKA", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def _pytest(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)
    return ran.stdout + ran.stderr


def test_an_address_in_the_environment_comes_first(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMLOG_TEST_KAFKA", "broker.test:9092")
    assert "1 passed" in _pytest(bare)


def test_without_any_server_the_test_is_skipped_with_the_reason(bare: Path) -> None:
    said = _pytest(bare)
    assert "1 skipped" in said
    assert "SAMLOG_TEST_KAFKA is not set, no Docker engine answers" in said


def test_a_required_server_that_is_missing_fails_the_test(bare: Path) -> None:
    said = _pytest(bare, "--require", "kafka,elasticsearch")
    assert "1 error" in said
    assert "no kafka server" in said


def test_requiring_an_unknown_server_is_a_usage_error(bare: Path) -> None:
    assert "--require knows kafka, elasticsearch, not redis" in _pytest(bare, "--require", "redis")
