"""structlog set-up: people get a console on a terminal, machines get JSON with ECS names.

The event is a constant snake_case phrase, everything else key-value. Values may come from
attackers: control characters are escaped and long text is cut before it reaches a terminal.
"""

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from samlog.event import ECS_VERSION

MAX_VALUE_CHARS = 512
ECS_NAMES = {
    "event": "message",
    "level": "log.level",
    "timestamp": "@timestamp",
    "where": "log.logger",
    "exception": "error.stack_trace",
}


def harmless(text: str, limit: int = MAX_VALUE_CHARS) -> str:
    """Returns ``text`` cut to ``limit`` characters, control characters shown as escapes."""
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
    return cut + "…" if len(text) > limit else cut


def _sanitise(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = harmless(value)
        elif isinstance(value, bytes):
            event[key] = harmless(value.decode("utf-8", "backslashreplace"))
    return event


def _ecs(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    known = {ECS_NAMES.get(k, k if "." in k else f"samlog.{k}"): v for k, v in event.items()}
    known["ecs.version"] = ECS_VERSION
    return known


def set_up(*, verbosity: int = 0, stream: TextIO | None = None, json: bool | None = None) -> None:
    """Sends log lines to ``stream`` (stderr). ``verbosity`` -1 warnings, 0 info, 1 debug.

    ``json`` None = JSON unless the stream is a terminal.
    """
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    levels = {-1: logging.WARNING, 0: logging.INFO}
    tail: list[Any] = (
        [structlog.processors.format_exc_info, _ecs, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _sanitise,
            *tail,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels.get(verbosity, logging.DEBUG)),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    for noisy in ("kafka", "elastic_transport", "elasticsearch", "httpx", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def get(name: str, **bound: Any) -> FilteringBoundLogger:
    """Returns a logger that says ``name`` and what is bound on each line."""
    logger: FilteringBoundLogger = structlog.get_logger(where=name, **bound)
    return logger
