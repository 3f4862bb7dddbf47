"""The direction of imports: kernel below, stages beside each other, wiring and commands on top."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ("ingest", "normalize", "detect", "alerts")
WIRING = ("samlog/pipeline.py", "samlog/cli/")


def imported(path: Path) -> set[str]:
    """Returns the first names of all modules that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage: str) -> None:
    others = set(STAGES) - {stage}

    found = {p.relative_to(ROOT).as_posix(): imported(p) & others for p in files(stage)}

    assert {name: names for name, names in found.items() if names} == {}


def test_the_kernel_imports_a_stage_only_where_it_is_wired() -> None:
    kernel = {p.relative_to(ROOT).as_posix(): imported(p) & set(STAGES) for p in files("samlog")}

    wrong = {n: names for n, names in kernel.items() if names and not n.startswith(WIRING)}

    assert wrong == {}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_says_whose_part_it_is(stage: str) -> None:
    assert 'PART_OF = "samlog"' in (ROOT / stage / "__init__.py").read_text("utf-8")


def test_no_test_folder_is_a_package() -> None:
    assert sorted((ROOT / "tests").rglob("__init__.py")) == []
