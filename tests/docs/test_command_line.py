"""What the command line promises on every verb, and that documents name only what exists."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import orjson
import pytest

from samlog import __version__
from samlog.cli.__main__ import HIDDEN, VERBS, exit_code, samlog
from samlog.errors import BusError, ConfigError, Exit, Unavailable

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELLS = ("", "sh", "bash", "console")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yields every command with its whole name, groups included."""
    context = click.Context(samlog)
    waiting = [(name, samlog.get_command(context, name)) for name in samlog.list_commands(context)]
    while waiting:
        name, command = waiting.pop(0)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            waiting += [(f"{name} {verb}", child) for verb, child in command.commands.items()]


COMMANDS = dict(commands())


def run(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "samlog", *words], capture_output=True, text=True, **options
    )


def test_every_verb_has_a_module_and_a_line_in_the_overview() -> None:
    assert {name for name in COMMANDS if " " not in name} == set(VERBS) - HIDDEN
    assert all(VERBS[name] for name in set(VERBS) - HIDDEN)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_starts_with_an_example_of_that_verb_and_says_what_it_does(name: str) -> None:
    told = (COMMANDS[name].help or "").split("\n\n")

    assert told[0].startswith("\b\nExample: samlog " + name)
    assert len(told) > 1
    assert "not yet implemented" not in " ".join(told)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]

    assert [option.name for option in options if not option.help and not option.hidden] == []


def test_an_unknown_verb_suggests_the_nearest() -> None:
    ran = run("serch")

    assert ran.returncode == Exit.USAGE
    assert "Did you mean 'search'?" in ran.stderr


def test_version() -> None:
    ran = run("version")

    assert (ran.returncode, ran.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(shell: str) -> None:
    ran = run("completion", shell)

    assert ran.returncode == 0
    assert f"_SAMLOG_COMPLETE={shell}_complete" in ran.stdout


def test_completion_completes() -> None:
    environ = os.environ | {"_SAMLOG_COMPLETE": "bash_complete", "COMP_WORDS": "samlog sea"}

    ran = run(env=environ | {"COMP_CWORD": "1"})

    assert ran.stdout == "plain,search\n"


@pytest.mark.parametrize("words", [["list", "rules"], ["list", "rules", "--json"], ["schema"]])
def test_a_closed_pipe_ends_quietly(words: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "samlog", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()

    told = process.stderr.read()

    process.stderr.close()
    assert (process.wait(), told) == (0, b"")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("x"), 78), (Unavailable("x"), 69), (BusError("x"), 1)],
)
def test_errors_become_the_exit_codes_of_the_contract(error: Any, code: int) -> None:
    assert exit_code(error) == code


def test_exit_codes_are_those_of_the_contract() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 69, 78, 130, 143]


KEYS = {
    "parsers": ["name", "version", "hints", "log_classes", "what"],
    "sources": ["type", "what"],
    "sinks": ["type", "what"],
    "rules": ["id", "level", "status", "title", "author", "path"],
}


@pytest.mark.parametrize("what", KEYS)
def test_lists_are_ndjson_with_stable_keys(what: str) -> None:
    rows = [orjson.loads(line) for line in run("list", what, "--json").stdout.splitlines()]

    assert rows
    assert {tuple(row) for row in rows} == {tuple(KEYS[what])}


def test_matches_are_ndjson_with_the_keys_that_scripts_rely_on(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    line = (
        "Jan 10 13:37:01 w sshd[1]: Failed password for invalid user {} from 1.2.3.4 port {} ssh2\n"
    )
    log.write_text(line.format("a", 1) + line.format("b", 2))

    ran = run("detect", "--rules", "builtin", "--json", str(log))

    rows = [orjson.loads(line) for line in ran.stdout.splitlines()]
    assert rows
    assert {row["event"] for row in rows} == {0, 1}
    assert set(rows[0]) >= {"event", "rule", "title", "level", "author", "@timestamp"}


def test_data_is_on_stdout_and_narration_on_stderr(tmp_path: Path) -> None:
    ran = run("parse", "-", input="Jan 10 13:37:01 web1 cron[1]: (root) CMD (x)\n")

    assert [orjson.loads(line)["samlog.unit"] for line in ran.stdout.splitlines()]
    assert ran.stderr.startswith("read 1 · parsed 1 · rejected 0")


def test_a_log_line_cannot_colour_or_steer_the_terminal() -> None:
    ran = run("detect", "-", input="\x1b]0;x\x07 sshd[1]: Invalid user \x1b[2J from 1.2.3.4\n")

    assert "\x1b" not in ran.stdout + ran.stderr


def typed(document: Path) -> Iterator[str]:
    """Yields the samlog commands in the code blocks of a document."""
    language: str | None = None
    for line in document.read_text("utf-8").splitlines():
        if line.strip().startswith("```"):
            language = line.strip("` ") if language is None else None
        elif language in SHELLS:
            for part in re.split(r"&&|\||;", line):
                words = part.strip().removeprefix("$ ").strip()
                if words.startswith("samlog "):
                    yield words


TYPED = [(d.relative_to(ROOT).as_posix(), c) for d in DOCUMENTS for c in typed(d)]


@pytest.mark.parametrize(("document", "words"), TYPED)
def test_commands_in_documents_exist_with_their_options(document: str, words: str) -> None:
    rest = shlex.split(words, comments=True)[1:]
    rest = rest[: rest.index(">")] if ">" in rest else rest
    command: click.Command = samlog
    context = click.Context(command)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{document}: no verb '{name}'"
        command = found
    known = {opt for p in command.params for opt in p.opts + p.secondary_opts} | {"-h", "--help"}
    for word in rest:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in known, f"{document}: {words}"


def test_documents_type_something() -> None:
    assert len(TYPED) > 20
