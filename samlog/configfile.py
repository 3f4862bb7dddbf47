"""Reads the configuration: finds the file, merges a folder, lays the environment on top, explains.

Precedence: environment (``SAMLOG_BUS__TYPE=kafka``) > file > default. Everything wrong is reported
at once, with the line and the nearest valid name.
"""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from samlog.config import Settings
from samlog.errors import ConfigError

Path_ = tuple[str | int, ...]
MAX_BYTES = 1 << 20
SOAK = ("SAMLOG_ROUNDS", "SAMLOG_SERVER_ROUNDS", "SAMLOG_SEED")
SEARCH = "./samlog.yaml, $XDG_CONFIG_HOME/samlog/config.yaml, /etc/samlog/config.yaml"


@dataclass(frozen=True)
class Loaded:
    """Settings and, per key path (``bus.type``), where its value came from."""

    settings: Settings
    origins: Mapping[str, str]
    files: Sequence[Path]


@dataclass
class _Merged:
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path_, tuple[str, int]] = field(default_factory=dict)


def find(given: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Returns the configuration to use: the given one, SAMLOG_CONFIG, or the first usual place.

    Raises `ConfigError` that lists where it looked.
    """
    named = given or environ.get("SAMLOG_CONFIG")
    if named:
        if not Path(named).exists():
            raise ConfigError(
                f"no configuration at {named}; write one with: samlog init > {named}", path=named
            )
        return Path(named)
    xdg = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for place in (
        Path("samlog.yaml"),
        xdg / "samlog" / "config.yaml",
        Path("/etc/samlog/config.yaml"),
    ):
        if place.exists():
            return place
    raise ConfigError(f"no configuration found in {SEARCH}; start with: samlog init > samlog.yaml")


def load(
    path: Path, model: type[Settings] = Settings, environ: Mapping[str, str] = os.environ
) -> Loaded:
    """Returns the validated settings of ``path`` (a file, or a folder of *.yaml merged in order).

    Raises one `ConfigError` that names every problem, a line each.
    """
    files = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
    if not files:
        raise ConfigError("the folder holds no *.yaml file", path=str(path))
    merged = _Merged()
    for file in files:
        _merge_file(merged, file)
    for keys, value in _leaves(_environment(model, environ)):
        _put(merged.values, keys, value)
        merged.places[keys] = (f"environment SAMLOG_{'__'.join(map(str, keys)).upper()}", 0)
    try:
        settings = model(**merged.values)
    except ValidationError as error:
        raise ConfigError(_explain(error, merged, model)) from None
    return Loaded(settings, _origins(settings, merged), files)


def _merge_file(merged: _Merged, file: Path) -> None:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{size} bytes are more than the {MAX_BYTES} allowed", path=str(file))
        node = yaml.compose(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}; give it with --config", path=str(file)
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"is not UTF-8 text (byte {error.start}); save it as UTF-8", path=str(file)
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"is not YAML: {problem}", path=str(file), line=mark.line + 1 if mark else 0
        ) from error
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("must be a mapping such as 'bus: {type: embedded}'", path=str(file))
    values = _read_node(node, (), str(file), merged.places, set())
    _overlay(merged.values, values)


def _read_node(
    node: yaml.Node,
    at: Path_,
    file: str,
    places: dict[Path_, tuple[str, int]],
    seen: set[int],
) -> Any:
    """Turns a YAML node into values and notes the line of each; aliases are refused (bombs)."""
    line = node.start_mark.line + 1
    if len(at) > 20:
        raise ConfigError("is nested deeper than 20", path=file, line=line)
    if id(node) in seen:
        raise ConfigError("uses YAML aliases; write the value out", path=file, line=line)
    seen.add(id(node))
    places[at] = (file, line)
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in found:
                raise ConfigError(
                    f"key '{key}' is given twice", path=file, line=key_node.start_mark.line + 1
                )
            found[key] = _read_node(value_node, (*at, key), file, places, seen)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_read_node(n, (*at, i), file, places, seen) for i, n in enumerate(node.value)]
    return yaml.CSafeLoader("").construct_object(node)


def _overlay(base: dict[str, Any], top: Mapping[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _overlay(base[key], value)
        else:
            base[key] = value


def _environment(model: type[Settings], environ: Mapping[str, str]) -> dict[str, Any]:
    """Returns the values given as SAMLOG_* by pydantic-settings' own reading of them."""
    reserved = ("SAMLOG_CONFIG", "SAMLOG_TEST_", "SAMLOG_FUZZ", *SOAK)
    given = {
        k: v for k, v in environ.items() if k.startswith("SAMLOG_") and not k.startswith(reserved)
    }
    source = EnvSettingsSource(model)
    source.env_vars = {k.lower(): v for k, v in given.items()}
    try:
        values = source()
    except SettingsError as error:
        raise ConfigError(
            f"environment: {error}; lists and objects are written as JSON, "
            """e.g. SAMLOG_BUS__BROKERS='["kafka1:9092"]'"""
        ) from error
    known = set(model.model_fields)
    unknown = [k for k in given if k[len("SAMLOG_") :].split("__")[0].lower() not in known]
    if unknown:
        name = unknown[0]
        near = _nearest(name[len("SAMLOG_") :].split("__")[0].lower(), known)
        raise ConfigError(f"environment variable {name} names no setting{near}")
    return {k: v for k, v in values.items() if v is not None}


def _leaves(values: Any, at: Path_ = ()) -> Iterable[tuple[Path_, Any]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _leaves(value, (*at, key))
    elif at:
        yield at, values


def _put(values: dict[str, Any], keys: Path_, value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(str(key), {})
    values[str(keys[-1])] = value


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"


def _explain(error: ValidationError, merged: _Merged, model: type[Settings]) -> str:
    lines = []
    for problem in error.errors():
        loc = tuple(part for part in problem["loc"] if not _is_tag(part, problem["loc"], merged))
        file, line = _place(loc, merged)
        where = f"{file}:{line}: " if line else f"{file}: " if file else ""
        lines.append(where + _sentence(problem, loc, model))
    return "\n".join(dict.fromkeys(lines))


def _is_tag(part: str | int, loc: Path_, merged: _Merged) -> bool:
    """Tells whether pydantic put the name of a union's variant into the path."""
    before = _at(merged.values, loc[: loc.index(part)])
    return isinstance(before, dict) and before.get("type") == part and part not in before


def _at(values: Any, keys: Path_) -> Any:
    """Returns what stands at ``keys``; a key that is not there (a union's tag) is stepped over."""
    for key in keys:
        values = _child(values, key, values)
    return values


def _child(value: Any, key: str | int, default: Any) -> Any:
    if isinstance(value, dict):
        return value.get(key, default)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return default


def _place(loc: Path_, merged: _Merged) -> tuple[str, int]:
    for end in range(len(loc), -1, -1):
        if loc[:end] in merged.places:
            return merged.places[loc[:end]]
    return ("", 0)


def _sentence(problem: Any, loc: Path_, model: type[Settings]) -> str:
    name = ".".join(map(str, loc))
    kind = problem["type"]
    if kind == "extra_forbidden":
        siblings = _field_names(loc[:-1], problem["loc"], model)
        return f"unknown key '{name}'{_nearest(str(loc[-1]), siblings)}"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        expected = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
        return f"{name}.type is '{context['tag']}'{_nearest(context['tag'], expected)}"
    if kind == "union_tag_not_found":
        return f"{name} needs a 'type'"
    if kind == "missing":
        return f"{name} is missing"
    found = problem.get("input")
    shown = "" if isinstance(found, dict | list) else f" (found {found!r})"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}{shown}"


def _field_names(at: Path_, loc: Path_, model: type[BaseModel]) -> set[str]:
    """Returns the valid names of the object at ``at``; a union's variant by the tag in ``loc``."""
    models: list[type[BaseModel]] = [model]
    for key in at:
        step: list[type[BaseModel]] = []
        for candidate in models:
            if isinstance(key, str) and key in candidate.model_fields:
                step += _models_in(candidate.model_fields[key].annotation)
        models = step or models
    tagged = [m for m in models if str(_tag(m)) in map(str, loc)]
    return {name for m in (tagged or models) for name in m.model_fields}


def _tag(model: type[BaseModel]) -> Any:
    info = model.model_fields.get("type")
    return get_args(info.annotation)[0] if info and get_args(info.annotation) else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated, list, dict):
        return [m for part in get_args(annotation) for m in _models_in(part)]
    return []


def _origins(settings: Settings, merged: _Merged) -> dict[str, str]:
    origins = {}
    for keys, _ in _leaves(settings.model_dump()):
        file, line = ("", 0)
        for end in range(len(keys), 0, -1):
            if keys[:end] in merged.places and (end == len(keys) or _given(merged, keys)):
                file, line = merged.places[keys[:end]]
                break
        name = ".".join(map(str, keys))
        origins[name] = f"{file}:{line}" if line else file or "default"
    return origins


def _given(merged: _Merged, keys: Path_) -> bool:
    absent = object()
    value: Any = merged.values
    for key in keys:
        value = _child(value, key, absent)
    return value is not absent


def shown(value: Any) -> str:
    """Returns a setting's value for people; secrets are never shown."""
    return "(secret)" if isinstance(value, SecretStr) else str(value)
