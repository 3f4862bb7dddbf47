"""What commands share: tables show what is there, whatever it is."""

import pytest

from samlog.cli.common import table


@pytest.mark.parametrize(
    "text",
    [
        "invalid user \\[/x] from 203.0.113.7",
        "\\[conceal]/etc/shadow",
        "\\[link=https://evil.example]x",
        "[bold]x[/bold]",
        "root:x:0:0 mac 00:ab:12 len:100: done",
        "\\",
    ],
)
def test_a_log_line_is_neither_obeyed_nor_changed_by_the_table_it_is_shown_in(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table((f"event {text}",), [(text,)], title=text)

    title, head, row = capsys.readouterr().out.splitlines()
    assert title.strip() == text
    assert head.rstrip() == f"event {text}"
    assert row.rstrip() == text
