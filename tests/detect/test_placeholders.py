"""Values of placeholders come from the configuration, or from a file that it names."""

from pathlib import Path

import pytest

from detect.placeholders import MAX_BYTES, MAX_VALUES, files_of, read_placeholders
from samlog.errors import ConfigError


def test_values_stand_in_the_configuration_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "servers.txt"
    file.write_text("\ufeff# ours\nsrv1\r\n\n  srv2  \nsrv1\n", "utf-8")

    found = read_placeholders({"admins": ["anna", "bo", "anna"], "servers": file})

    assert found == {"admins": ("anna", "bo"), "servers": ("srv1", "srv2")}
    assert files_of({"admins": ["anna"], "servers": file}) == [file]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * (MAX_BYTES + 1), "more than a megabyte"),
        (b"".join(b"%d\n" % n for n in range(MAX_VALUES + 1)), "more than 10,000 values"),
    ],
)
def test_a_file_that_will_not_do_is_named(tmp_path: Path, data: bytes | None, what: str) -> None:
    file = tmp_path / "servers.txt"
    if data is not None:
        file.write_bytes(data)

    with pytest.raises(ConfigError, match=f"servers.*{what}"):
        read_placeholders({"servers": file})


def test_a_file_without_values_leaves_the_placeholder_without(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("# nobody yet\n")

    assert read_placeholders({"nobody": tmp_path / "none.txt"}) == {"nobody": ()}
