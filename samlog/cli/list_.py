"""``samlog list``: what is there to use."""

from typing import Any

import click

from samlog import pipeline
from samlog.cli.common import config_option, emit, json_option, table
from samlog.errors import Exit


@click.command(help="\b\nExample: samlog list parsers\n\nList parsers, rules, sources or sinks.")
@click.argument("what", type=click.Choice(["parsers", "rules", "sources", "sinks"]))
@config_option
@json_option
def command(what: str, config: str | None, as_json: bool) -> int:
    rows = {"parsers": _parsers, "sources": _sources, "sinks": _sinks}.get(
        what, lambda: _rules(config)
    )()
    if as_json:
        emit(rows)
    else:
        table(tuple(rows[0]) if rows else (), ([_text(v) for v in row.values()] for row in rows))
    return Exit.DONE


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _parsers() -> list[dict[str, Any]]:
    from normalize.registry import load_parsers

    return [
        {
            "name": parser.NAME,
            "version": parser.VERSION,
            "hints": sorted(parser.HINTS),
            "log_classes": list(parser.LOG_CLASSES),
            "what": _first_line(parser.__doc__),
        }
        for parser in sorted(load_parsers(), key=lambda p: p.NAME)
    ]


def _sources() -> list[dict[str, Any]]:
    from ingest.source import modules

    return [{"type": n, "what": _first_line(m.__doc__)} for n, m in sorted(modules().items())]


def _sinks() -> list[dict[str, Any]]:
    from alerts.sink import modules

    return [{"type": n, "what": _first_line(m.__doc__)} for n, m in sorted(modules().items())]


def _rules(config: str | None) -> list[dict[str, Any]]:
    from detect.engine import Engine

    folders = pipeline.rule_folders((pipeline.BUILTIN_RULES,))
    if config:
        folders = pipeline.rule_paths(pipeline.load_settings(config).settings)
    engine = Engine.load(folders, placeholders=pipeline.placeholders(config))
    return [
        {
            "id": rule.id,
            "level": rule.level,
            "status": rule.status,
            "title": rule.title,
            "author": rule.author,
            "path": rule.path,
        }
        for rule in sorted(engine.rules, key=lambda r: r.title)
    ]
