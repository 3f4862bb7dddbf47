"""The configuration: every mistake gets a sentence, every value an origin."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samlog import configfile
from samlog.config import KafkaBusConfig
from samlog.errors import ConfigError

RIGHT = "units: {enheda: {title: Enhed A}}\n"


def load(tmp_path: Path, text: str, **environ: str) -> configfile.Loaded:
    path = tmp_path / "samlog.yaml"
    path.write_text(text, "utf-8")
    return configfile.load(path, environ=environ)


def complaint(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return str(caught.value)


def test_a_misspelt_key_is_refused_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    said = complaint(tmp_path, RIGHT + "retenton: {events_days: 30}\n")

    assert "samlog.yaml:2: unknown key 'retenton'; did you mean 'retention'?" in said


def test_a_misspelt_type_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, RIGHT + "bus: {type: kafak}\n")

    assert "bus.type is 'kafak'; did you mean 'kafka'?" in said


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path, "units: {A: {}}\nlimits: {batch: 0}\nbuss: {}\n")

    assert len(said.splitlines()) == 3


def test_a_configuration_without_units_says_how_to_write_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, "units: {}\n")

    assert "units: {enheda: {title: Enhed A}}" in said


@pytest.mark.parametrize("unit", ["Enheda", "1a", "a-b", "a_b", "a.b", "å", "a" * 31, ""])
def test_a_unit_name_that_topics_cannot_hold_is_refused(tmp_path: Path, unit: str) -> None:
    assert "pattern" in complaint(tmp_path, f"units: {{'{unit}': {{}}}}\n")


def test_the_environment_wins_over_the_file_and_is_named_as_origin(tmp_path: Path) -> None:
    loaded = load(tmp_path, RIGHT + "limits: {batch: 7}\n", SAMLOG_LIMITS__BATCH="9")

    assert loaded.settings.limits.batch == 9
    assert loaded.origins["limits.batch"] == "environment SAMLOG_LIMITS__BATCH"


def test_the_environment_can_choose_another_bus(tmp_path: Path) -> None:
    loaded = load(tmp_path, RIGHT, SAMLOG_BUS__TYPE="kafka", SAMLOG_BUS__BROKERS='["k:9092"]')

    assert isinstance(loaded.settings.bus, KafkaBusConfig)


def test_an_environment_variable_that_names_nothing_is_refused(tmp_path: Path) -> None:
    said = complaint(tmp_path, RIGHT, SAMLOG_BUSS__TYPE="kafka")

    assert "SAMLOG_BUSS__TYPE names no setting; did you mean 'bus'?" in said


def test_each_value_tells_file_and_line_or_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, RIGHT + "limits:\n  batch: 7\n")

    assert loaded.origins["limits.batch"].endswith("samlog.yaml:3")
    assert loaded.origins["retention.events_days"] == "default"


def test_a_folder_is_merged_in_order(tmp_path: Path) -> None:
    (tmp_path / "10-base.yaml").write_text(RIGHT + "limits: {batch: 1}\n")
    (tmp_path / "20-here.yaml").write_text("limits: {batch: 2}\n")

    assert configfile.load(tmp_path, environ={}).settings.limits.batch == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n", "is not YAML"),
        ("\tunits: {}\n", "is not YAML"),
        ("- a\n- b\n", "must be a mapping"),
        ("units: {}\nunits: {}\n", "given twice"),
        ("x: " + "[" * 40 + "]" * 40, "nested deeper"),
    ],
)
def test_text_that_is_no_configuration_gets_a_sentence(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert expected in complaint(tmp_path, text)


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "samlog.yaml"
    path.write_bytes(b"units: {enheda: {title: '\xe6'}}\n")

    with pytest.raises(ConfigError, match="is not UTF-8"):
        configfile.load(path, environ={})


def test_aliases_that_multiply_do_not_eat_the_memory(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [" + ",".join([f"*{chr(97 + i)}"] * 9) + "]\n"
        for i in range(8)
    )

    assert "YAML aliases" in complaint(tmp_path, bomb)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="samlog init"):
        configfile.find(str(tmp_path / "nowhere.yaml"), {})


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_sentence(tmp_path_factory: object, text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samlog.yaml"
        path.write_text(text, "utf-8", errors="replace")
        try:
            configfile.load(path, environ={})
        except ConfigError as error:
            assert str(error)


def test_no_unit_may_have_the_name_under_which_the_platform_keeps_its_own(tmp_path: Path) -> None:
    assert "cannot be called 'samlog'" in complaint(tmp_path, "units: {samlog: {}}\n")
