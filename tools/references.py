"""Writes docs/reference/ from the code: what commands, keys, metrics and parsers there are.

``docs/reference/sources/`` has a page for each log source; its fields and its example come from
the samples, so that nothing stands there that a test does not prove.

``python tools/references.py`` writes; ``--check`` writes nothing and exits 1 with the names of the
files that are not what would be written.
"""

import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
WIDTH = 100
NOTICE = "<!-- Written by tools/references.py; change the code, then: make format -->\n"


def page(title: str, body: Iterator[str]) -> str:
    """Returns a whole page."""
    lines = [NOTICE, f"# {title}", "", *body]
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def cell(text: object) -> str:
    """Returns text as it may stand in a table's cell."""
    return " ".join(str(text).replace("|", "\\|").split())


def row(*cells: object) -> str:
    """Returns a line of a table."""
    return f"| {' | '.join(cell(c) for c in cells)} |"


def head(*names: str) -> Iterator[str]:
    """Yields the two lines that begin a table."""
    yield row(*names)
    yield "|" + "---|" * len(names)


def cli() -> Iterator[str]:
    """Yields the help of every verb."""
    from samlog.cli.__main__ import samlog

    yield "Data goes to stdout, everything else to stderr. `-` is stdin. Exit codes: "
    yield "[exit-codes.md](exit-codes.md)."
    yield from _help(samlog, "samlog", None)


def _help(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    info = name.rpartition(" ")[2]
    context = click.Context(
        command,
        info_name=info,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    yield ""
    yield f"## `{name}`"
    yield "```text"
    yield from (line.rstrip() for line in command.get_help(context).splitlines())
    yield "```"
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            if child is not None and not child.hidden:
                yield from _help(child, f"{name} {verb}", context)


def config() -> Iterator[str]:
    """Yields every key of the configuration, section by section."""
    from alerts.sink import SinkConfig
    from alerts.sink import modules as sinks
    from ingest.source import Config as SourceConfig
    from ingest.source import types as sources
    from samlog import config as models

    yield "One YAML file, or a folder of `*.yaml` merged in order. Searched: `--config`, "
    yield "`SAMLOG_CONFIG`, `./samlog.yaml`, `$XDG_CONFIG_HOME/samlog/config.yaml`, "
    yield "`/etc/samlog/config.yaml`. The environment wins: `SAMLOG_BUS__TYPE=kafka` is `bus.type`."
    yield "`samlog check --print` tells each value and where it came from."
    parts: dict[str, type[BaseModel]] = {
        "Top level": models.Settings,
        "bus, type embedded": models.EmbeddedBusConfig,
        "bus, type kafka": models.KafkaBusConfig,
        "bus.tls": models.Tls,
        "bus.sasl": models.Sasl,
        "store, type embedded": models.EmbeddedStoreConfig,
        "store, type elasticsearch": models.ElasticsearchStoreConfig,
        "units.*": models.Unit,
        "units.*.defaults": models.UnitDefaults,
        "retention": models.Retention,
        "limits": models.Limits,
        "http": models.Http,
    }
    for title, model in parts.items():
        yield from _keys(title, model, type(None))
    yield from _keys("sources[], every type", SourceConfig, type(None))
    for name, kind_of_source in sorted(sources().items()):
        yield from _keys(f"sources[], type {name}", kind_of_source, SourceConfig)
    yield from _keys("sinks[], every type", SinkConfig, type(None))
    for name, module in sorted(sinks().items()):
        yield from _keys(f"sinks[], type {name}", module.Config, SinkConfig)


def _keys(title: str, model: type[BaseModel], base: type) -> Iterator[str]:
    """Yields a table of the keys that ``model`` has and ``base`` has not."""
    known = base.model_fields if issubclass(base, BaseModel) else {}
    fields = {n: f for n, f in model.model_fields.items() if n != "type" and n not in known}
    if not fields:
        return
    yield from ("", f"## {title}", "")
    yield from head("key", "type", "default", "meaning")
    for name, field in fields.items():
        meaning = (field.description or "").replace("``", "`")
        yield row(f"`{name}`", kind(field), default(field), meaning)


def kind(field: FieldInfo) -> str:
    """Returns a field's type for people: ``integer, 1 to 64``."""
    bounds = list(field.metadata)
    return described(field.annotation, bounds)


def described(annotation: Any, bounds: list[Any]) -> str:
    """Returns a type for people."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return described(args[0], [*bounds, *args[1:]])
    if origin is Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin in (Union, types.UnionType):
        kinds = dict.fromkeys(described(a, []) for a in args if a is not type(None))
        return " or ".join(kinds)
    if origin is list:
        return f"list of {described(args[0], [])}"
    if origin is dict:
        return f"name → {described(args[1], [])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path"}
    name = names.get(annotation, "text" if annotation is SecretStr else "section")
    return name + _limits(bounds)


def _limits(bounds: list[Any]) -> str:
    low = next((b.ge for b in bounds if isinstance(b, annotated_types.Ge)), None)
    over = next((b.gt for b in bounds if isinstance(b, annotated_types.Gt)), None)
    high = next((b.le for b in bounds if isinstance(b, annotated_types.Le)), None)
    start = f"{low:,}" if low is not None else f"over {over:,}" if over is not None else ""
    if start and high is not None:
        return f", {start} to {high:,}"
    if start:
        return f", {start}" if over is not None else f", at least {start}"
    return f", at most {high:,}" if high is not None else ""


def default(field: FieldInfo) -> str:
    """Returns a field's default; "required" where there is none."""
    if field.is_required():
        return "**required**"
    value = field.default
    if value is PydanticUndefined:
        value = field.default_factory() if field.default_factory else ""  # type: ignore[call-arg] # none takes data
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, Enum):
        value = value.value
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"`{value}`" + (f" ({value >> 20} MiB)" if value >= 1 << 20 else "")
    return f"`{value}`"


def metrics() -> Iterator[str]:
    """Yields the table of metrics."""
    from samlog.metrics import TABLE

    yield "Scraped from `http.listen` (default `127.0.0.1:9600/metrics`), all stages of one"
    yield "`samlog run` added up. Labels come from bounded sets, never from log content."
    yield ""
    yield from head("name", "kind", "labels", "meaning")
    for name, metric in TABLE.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield row(f"`samlog_{name}`", metric.kind, labels, metric.meaning)


EXITS = {
    "DONE": "done; nothing is wrong",
    "FAILED": "failed, or findings: a record was rejected, a rule refused, a search without a hit",
    "USAGE": "the command line is wrong",
    "UNAVAILABLE": "a needed server is unreachable; trying again later may help",
    "CONFIG": "the configuration is wrong; trying again does not help",
    "INTERRUPTED": "ended by SIGINT, drained",
    "TERMINATED": "ended by SIGTERM, drained",
}


def exit_codes() -> Iterator[str]:
    """Yields the exit codes of every command."""
    from samlog.errors import Exit

    yield "Scripts may rely on them. In systemd: `RestartPreventExitStatus=78`."
    yield ""
    yield from head("code", "means")
    for code in Exit:
        yield row(int(code), EXITS[code.name])


def parsers() -> Iterator[str]:
    """Yields every parser's page."""
    from normalize.registry import load_parsers

    found = sorted(load_parsers(), key=lambda parser: parser.NAME)
    yield "Parsers are chosen by the source's `source:`, by the syslog program, or by content."
    yield ""
    yield from head("name", "`source:` may also say", "log classes", "what")
    for parser in found:
        hints = ", ".join(f"`{hint}`" for hint in sorted(parser.HINTS))
        classes = ", ".join(parser.LOG_CLASSES)
        name = f"[`{parser.NAME}`](sources/{parser.NAME}.md)"
        yield row(name, hints, classes, (parser.__doc__ or "").split("\n")[0])


def modules(found: Mapping[str, Any]) -> Iterator[str]:
    """Yields the docstrings of modules, a section each."""
    for name, module in sorted(found.items()):
        yield from ("", f"## {name}", "", inspect.cleandoc(module.__doc__ or ""))


def sources() -> Iterator[str]:
    """Yields every source's page."""
    from ingest.source import modules as found

    yield "All keys: [config.md](config.md)."
    yield from modules(found())


def sinks() -> Iterator[str]:
    """Yields every sink's page."""
    from alerts.sink import modules as found

    yield "All keys: [config.md](config.md)."
    yield from modules(found())


def detection() -> Iterator[str]:
    """Yields who reads the samples of each parser when nobody says what they are."""
    from normalize.confusion import confusion
    from normalize.samples_update import normalizer

    yield from ("Samples without `source:`; of an agent's envelope, the line inside.", "")
    yield from head("samples of", "events", "read by it", "read by others")
    for name, chosen in confusion(normalizer()).items():
        others = ", ".join(f"{other} {n}" for other, n in sorted(chosen.items()) if other != name)
        yield row(f"`{name}`", chosen.total(), chosen[name], others)


_FRAME = ("samlog.", "data_stream.", "organization.", "event.original", "event.module", "event.id")
_MAX_EXAMPLE = 2_000


def log_source(parser: Any, samples: Path) -> Iterator[str]:
    """Yields the page of one log source: format, settings, classes, rules, fields, an example."""
    from normalize.parser import CLASSES

    yield inspect.cleandoc(parser.__doc__ or "").replace("``", "`")
    words = ", ".join(f"`{word}`" for word in sorted({parser.NAME, *parser.HINTS}))
    programs = ", ".join(f"`{name}`" for name in sorted(parser.PROGRAMS) if name)
    yield from ("", "## Settings", "", f"`source:` of the collector: {words}; or none: told by ")
    yield (f"the program ({programs}) and by content." if programs else "content.")
    if settings := getattr(parser, "SETTINGS", ""):
        yield from ("", inspect.cleandoc(settings))
    if documents := getattr(parser, "SPECIFICATION", ()):
        yield from ("", "## Format", "", *(f"- {document}" for document in documents))
    yield from ("", "## Log classes and rules", "")
    for name in parser.LOG_CLASSES:
        yield f"- {name}: {CLASSES[name]}"
    for logsource in parser.LOGSOURCES:
        named = ", ".join(f"{key} `{value}`" for key, value in logsource.items())
        yield f"- Sigma logsource: {named}"
    events: list[dict[str, Any]] = []
    paths = sorted(samples.glob("*.expected.json"))
    for path in paths:
        expected = json.loads(path.read_text("utf-8"))
        events += expected if isinstance(expected, list) else [expected]
    if events:
        yield from _fields_of(events)
        yield from _example(events[0], paths[0])


def _fields_of(events: list[dict[str, Any]]) -> Iterator[str]:
    from samlog.ecs import FIELDS

    examples = {name: value for event in reversed(events) for name, value in event.items()}
    yield from ("", "## Fields", "", "Of the samples, beside those that every event has.", "")
    yield from head("field", "type", "example")
    for name in sorted(name for name in examples if not name.startswith(_FRAME)):
        text = json.dumps(examples[name], ensure_ascii=False)
        shown = (text if len(text) <= 60 else text[:57] + "...").replace("`", "'")
        yield row(f"`{name}`", FIELDS.get(name, "the vendor's"), f"`{shown}`")


def _example(event: dict[str, Any], path: Path) -> Iterator[str]:
    """Yields the first event of a sample, as it came and as it is stored."""
    before = str(event.get("event.original", ""))
    if not before:
        sent = [p for p in path.parent.glob(f"{path.name.split('.')[0]}.*") if p != path]
        before = sent[0].read_bytes().decode("utf-8", "replace").rstrip() if sent else ""
    made = {name: event[name] for name in event if not name.startswith(_FRAME)}
    after = json.dumps(made, ensure_ascii=False, indent=2)
    yield from ("", "## Example", "", "Before:", "", "```text")
    yield before if len(before) <= _MAX_EXAMPLE else before[:_MAX_EXAMPLE] + " ..."
    yield from ("```", "", "After:", "", "```json", after, "```")


def log_sources() -> dict[Path, str]:
    """Returns the page of every log source."""
    from normalize.registry import load_parsers
    from normalize.samples_update import SAMPLES

    return {
        FOLDER / "sources" / f"{name}.md": page(name, log_source(parser, SAMPLES / name))
        for name, parser in ((parser.NAME, parser) for parser in load_parsers())
    }


PAGES: Mapping[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "cli.md": ("Command line", cli),
    "config.md": ("Configuration", config),
    "metrics.md": ("Metrics", metrics),
    "exit-codes.md": ("Exit codes", exit_codes),
    "parsers.md": ("Parsers", parsers),
    "sources.md": ("Sources", sources),
    "detection.md": ("Sources told from content alone", detection),
    "sinks.md": ("Sinks", sinks),
}


def written() -> dict[Path, str]:
    """Returns what each file should hold."""
    pages = {FOLDER / name: page(title, body()) for name, (title, body) in PAGES.items()}
    return pages | log_sources()


def left_over() -> list[Path]:
    """Returns pages of log sources that are no more."""
    from normalize.registry import load_parsers

    names = {f"{parser.NAME}.md" for parser in load_parsers()}
    return sorted(path for path in (FOLDER / "sources").glob("*.md") if path.name not in names)


def stale() -> list[str]:
    """Returns the names of files that do not hold what they should."""
    wrong = [
        path
        for path, text in written().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    return [path.relative_to(ROOT).as_posix() for path in [*wrong, *left_over()]]


def main(words: list[str]) -> int:
    """Writes, or with ``--check`` compares; returns the exit code."""
    if words == ["--check"]:
        names = stale()
        for name in names:
            print(f"{name} is stale: make format", file=sys.stderr)
        return 1 if names else 0
    if words:
        print("usage: references.py [--check]", file=sys.stderr)
        return 2
    (FOLDER / "sources").mkdir(parents=True, exist_ok=True)
    for path in left_over():
        path.unlink()
    for path, text in written().items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
