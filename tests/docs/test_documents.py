"""References are fresh, examples load, links lead somewhere, nothing private is in the tree."""

import configparser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from samlog import pipeline
from samlog.config import EmbeddedStoreConfig, KafkaBusConfig
from samlog.configfile import load

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture(scope="module")
def references() -> ModuleType:
    spec = importlib.util.spec_from_file_location("references", ROOT / "tools" / "references.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_references_are_what_the_code_says() -> None:
    # In a process of its own: other tests add commands, parsers and sinks to this one.
    check = [sys.executable, str(ROOT / "tools" / "references.py"), "--check"]

    done = subprocess.run(check, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_references_are_the_same_twice(references: ModuleType) -> None:
    assert references.written() == references.written()


def test_a_stale_reference_is_named_and_fails_the_check(
    references: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(references, "ROOT", tmp_path)
    monkeypatch.setattr(references, "FOLDER", tmp_path / "docs" / "reference")
    assert references.main([]) == 0
    assert references.main(["--check"]) == 0
    (tmp_path / "docs" / "reference" / "cli.md").write_text("old")
    (tmp_path / "docs" / "reference" / "metrics.md").unlink()

    assert references.main(["--check"]) == 1

    told = capsys.readouterr().err
    assert "docs/reference/cli.md is stale" in told
    assert "docs/reference/metrics.md is stale" in told
    assert references.main(["--chekc"]) == 2


def test_a_page_of_a_source_that_is_no_more_is_stale_and_goes(
    references: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "ROOT", tmp_path)
    monkeypatch.setattr(references, "FOLDER", tmp_path / "docs" / "reference")
    assert references.main([]) == 0
    gone = tmp_path / "docs" / "reference" / "sources" / "gone.md"
    gone.write_text("old")

    assert references.stale() == ["docs/reference/sources/gone.md"]
    assert references.main([]) == 0
    assert not gone.exists()


def test_the_page_of_a_source_says_format_settings_classes_fields_and_an_example(
    references: ModuleType,
) -> None:
    text = references.log_sources()[references.FOLDER / "sources" / "keycloak.md"]
    headings = ("Settings", "Format", "Log classes and rules", "Fields", "Example")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(headings)
    assert "LC-01: authentication" in text
    assert "| `user.name` | keyword |" in text


def test_the_page_of_a_parser_without_facts_has_what_is_known(
    references: ModuleType, tmp_path: Path
) -> None:
    parser = ModuleType("bare", "Only this.")
    parser.__dict__.update(
        NAME="bare", HINTS=frozenset(), PROGRAMS=frozenset(), LOGSOURCES=(), LOG_CLASSES=()
    )
    text = "\n".join(references.log_source(parser, tmp_path))
    assert text.startswith("Only this.")
    assert "## Format" not in text
    assert "## Example" not in text


def test_every_key_of_the_configuration_says_what_it_means() -> None:
    text = (ROOT / "docs" / "reference" / "config.md").read_text("utf-8")

    assert [line for line in text.splitlines() if line.endswith("|  |")] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_load(example: Path) -> None:
    loaded = pipeline.load_settings(str(example), {})

    assert loaded.settings.units
    assert loaded.settings.sinks


def test_there_is_an_example_for_each_size() -> None:
    assert [e.name for e in EXAMPLES] == ["kafka-elastic.yaml", "laptop.yaml", "soc.yaml"]


def test_the_first_days_configuration_means_what_the_contract_says() -> None:
    settings = pipeline.load_settings(str(ROOT / "examples" / "laptop.yaml"), {}).settings

    assert [source.type for source in settings.sources] == ["syslog", "file", "http"]
    assert [sink.type for sink in settings.sinks] == ["file", "webhook"]
    assert settings.units["enheda"].defaults.accountable == "enheda"
    assert settings.rules == ["./rules", "builtin"]
    assert settings.retention.events_days == 30
    assert settings.retention.bus_hours == 72
    assert isinstance(settings.store, EmbeddedStoreConfig)
    assert settings.state_path == Path("data")


def test_the_socs_configuration_survives_the_loss_of_a_broker() -> None:
    bus = pipeline.load_settings(str(ROOT / "examples" / "soc.yaml"), {}).settings.bus

    assert isinstance(bus, KafkaBusConfig)
    assert (bus.replication, bus.min_insync) == (3, 2)


def test_a_rule_folder_that_is_not_there_is_told_kindly(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "samlog", "check", str(ROOT / "examples" / "laptop.yaml")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert ran.returncode == 1
    assert "rules: ./rules is not there: put a SigmaHQ checkout at ./rules" in ran.stderr
    assert "laptop.yaml: right" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_starter_is_a_right_configuration() -> None:
    starter = ROOT / "samlog" / "starter.yaml"

    assert load(starter, pipeline.settings_model(), {}).settings.units


def markdown() -> list[Path]:
    shared = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    return [*shared, *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "examples").rglob("*.md")]


@pytest.mark.parametrize("document", markdown(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text("utf-8")) if "://" not in link]

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_there_is_an_unreleased_part_in_the_changelog() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # keys keep their case
    parser.read(ROOT / "deploy" / "systemd" / name)
    return parser


@pytest.mark.parametrize("name", ["samlog.service", "samlog@.service"])
def test_systemd_drains_restarts_and_does_not_loop_on_a_wrong_configuration(name: str) -> None:
    service = unit(name)["Service"]

    assert "samlog run" in service["ExecStart"]
    assert service["KillMode"] == "mixed"
    assert service["SuccessExitStatus"] == "143"
    assert "78" in service["RestartPreventExitStatus"].split()
    assert int(service["TimeoutStopSec"]) > 40


@pytest.mark.parametrize(
    ("instance", "stage"), [("normalize", "normalize"), ("normalize-2", "normalize")]
)
def test_an_instance_of_the_unit_runs_the_stage_that_it_names(instance: str, stage: str) -> None:
    start = unit("samlog@.service")["Service"]["ExecStart"]
    script = re.fullmatch(r"/bin/sh -c '(.*)' %i", start)
    assert script is not None
    text = script[1].replace("$$", "$").replace("%%", "%")
    told = text.replace("exec /opt/samlog/bin/samlog", "echo")

    ran = subprocess.run(["/bin/sh", "-c", told, instance], capture_output=True, text=True)

    assert ran.stdout == f"run {stage} --config /etc/samlog/config.yaml\n"


# Written in parts, so that this file does not hold what it looks for.
PRIVATE = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/",
            "/pack" + r"ages/(?:pypi|npm|maven)",
            r"(?:index|extra-index)-url",
            r"https?://[^\s\"']*(?:art" + "ifactory|nexus|pypi|/simple)",
        ]
    )
)


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: there is no list of tracked files")
    return [ROOT / name for name in listed.decode().split("\0") if name]


def test_no_machine_path_and_no_registry_is_in_a_tracked_file() -> None:
    found = []
    logs = {"samples", "demo"}  # what stands there was written by the machines of others
    for path in tracked():
        if path.is_file() and not logs & set(path.parts):
            text = path.read_bytes().decode("utf-8", "replace")
            found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in PRIVATE.finditer(text)]

    assert found == []
