"""The page that tells what became of a rule set."""

from collections.abc import Callable
from typing import Any

import pytest

from detect.engine import Engine
from detect.report import main, markdown
from samlog.errors import Exit

Load = Callable[..., Engine]


@pytest.fixture
def page(load: Load, rule: Any) -> str:
    windows = {"product": "windows", "service": "security"}
    rules = [
        ({"A": "x"}, windows),
        ({"A|re": "(?=x)"}, windows),
        ({"A": "x"}, {"product": "beos"}),
        ({"cs-cookie": "x"}, {"category": "proxy"}),
    ]
    made = [
        rule(
            {"selection": detection}, logsource=source, id=f"11111111-1111-4111-8111-11111111111{i}"
        )
        for i, (detection, source) in enumerate(rules)
    ]
    engine = load(*made, "no rule", mode="ecs")
    return markdown(engine.report)


def test_the_page_counts_every_rule_once(page: str) -> None:
    assert "Of 5 rules 3 can be evaluated (60.0 %): 1 are loaded, 2 have no mapping yet." in page
    assert "| windows | 1 | 0 | 1 |" in page
    assert "| beos | 0 | 1 | 0 |" in page
    assert "| (any product) proxy | 0 | 1 | 0 |" in page
    assert "| (any product) | 0 | 0 | 1 |" in page
    assert "| **all** | **1** | **2** | **2** |" in page


def test_the_page_names_every_reason(page: str) -> None:
    assert "| unmapped_logsource | product beos | 1 |" in page
    assert "| unmapped_field | cs-cookie | 1 |" in page
    assert "| regex_not_linear | rule1.yml | 11111111-1111-4111-8111-111111111111 |" in page
    assert "| not_a_rule | rule4.yml | - |" in page


def test_the_page_holds_no_path_of_this_machine(page: str, tmp_path: Any) -> None:
    assert str(tmp_path) not in page


def test_without_a_directory_the_command_says_how_it_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == Exit.USAGE
    assert "python -m detect.report" in capsys.readouterr().err


def test_the_command_prints_the_page(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == Exit.DONE
    assert "Of 0 rules" in capsys.readouterr().out
