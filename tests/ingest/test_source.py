import errno
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from ingest.checkpoint import Checkpoints
from ingest.listen import _refused, peer_name
from ingest.source import types
from samlog.address import parse_listen
from samlog.errors import ConfigError


def test_the_kinds_of_sources_are_found_by_scanning() -> None:
    assert {"file", "stdin", "syslog", "http"} <= types().keys()


@pytest.mark.parametrize("name", sorted(types()))
def test_every_kind_says_what_it_is_and_refuses_unknown_keys(name: str) -> None:
    config = types()[name]
    required = {"type": name, "unit": "a"} | ({"paths": ["x"]} if name == "file" else {})

    assert config.__doc__
    assert config(**required).unit == "a"
    with pytest.raises(ValidationError, match="Extra inputs"):
        config(**required, lisen="x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit", "A"),
        ("unit", "a.b"),
        ("tz", "Europe/Copenhagn"),
        ("zone", "outside"),
        ("log_class", "5"),
        ("encoding", "cp9999"),
        ("source", "no spaces"),
    ],
)
def test_context_that_makes_no_sense_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValidationError):
        types()["stdin"](**{"type": "stdin", "unit": "a", key: value})


@pytest.mark.parametrize("text", ["5514", "host:", ":5514", "host:70000", "host:x", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_listen(text)


def test_a_privileged_port_is_refused_with_what_to_do() -> None:
    error = _refused("0.0.0.0", 514, socket.SOCK_DGRAM, OSError(errno.EACCES, "denied"))

    assert isinstance(error, ConfigError)
    assert "CAP_NET_BIND_SERVICE" in str(error)


def test_a_peer_is_its_plain_address() -> None:
    assert peer_name("::ffff:192.0.2.1") == "192.0.2.1"
    assert peer_name("fe80::1%eth0") == "fe80::1"


def test_positions_that_cannot_be_kept_are_said_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ConfigError, match="ls -ld"):
        Checkpoints(tmp_path / "file" / "collect.db")


def test_damaged_positions_are_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "collect.db").write_bytes(b"this is no database" * 1000)

    with pytest.raises(ConfigError, match="moving it away"):
        Checkpoints(tmp_path / "collect.db")
