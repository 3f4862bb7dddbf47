import glob
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.patterns import is_named

PARTS = ["a", "b", "a.log", "b.log", ".a", ".a.log", "*", "**", "*.log", "?", "[ab]", ".*", "a*"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for folder in ["", "a", "b", ".a", "a/b", "a/.a", "a/b/a", "b/b"]:
        (root / folder).mkdir(exist_ok=True)
        for name in ["a.log", "b.log", ".a.log", "ab"]:
            (root / folder / name).touch()
    return root


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4))
def test_a_path_is_named_exactly_where_glob_finds_it(tree: Path, parts: list[str]) -> None:
    # A file's name with "/**" behind it: glob gives the name with a slash, a file of that is none.
    assume(("a.log", "**") not in pairwise(parts) and ("b.log", "**") not in pairwise(parts))
    pattern = str(tree / "/".join(parts))
    files = [path for path in tree.rglob("*") if path.is_file()]

    named = {str(path) for path in files if is_named(str(path), [pattern])}

    found = {str(Path(name)) for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207
    assert named == found & {str(path) for path in files}


def test_a_path_is_named_by_itself_and_by_any_of_several_patterns() -> None:
    assert is_named("/var/log/[x].log", ["/var/log/[x].log"])
    assert is_named("logs/a.log", ["/nowhere", "./logs//*.log"])
    assert not is_named("/var/log/deep/a.log", ["/var/log/*.log"])
