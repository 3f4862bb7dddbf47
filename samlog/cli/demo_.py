"""``samlog demo``: the whole pipeline on shipped logs, and what came of it."""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import orjson

from samlog import log, pipeline
from samlog.cli.common import summary
from samlog.cli.run_ import run, summary_line
from samlog.config import Settings
from samlog.errors import Exit, SamlogError
from samlog.event import Event
from samlog.log import harmless
from samlog.store.base import EventStore, Query

UNITS = {
    "enheda": ("Enhed A", "enheda-auth.log", "linux"),
    "enhedb": ("Enhed B", "enhedb-security.ndjson", "Windows"),
    "enhedc": ("Enhed C", "enhedc-access.log", "web"),
}
SHOWN = (
    "event.dataset",
    "event.action",
    "event.outcome",
    "user.name",
    "source.ip",
    "source.port",
    "process.command_line",
    "http.request.method",
    "url.original",
    "user_agent.original",
    "host.name",
    "ecs.version",
)
WIDTH = 160
CHANNEL = "cert-channel.ndjson"


@click.command(
    help="\b\nExample: samlog demo\n\n"
    "Run the whole pipeline on shipped logs of three units: embedded bus, embedded store, samlog's "
    "own rules. Nothing is left behind unless --keep names a folder."
)
@click.option("--keep", type=click.Path(file_okay=False), help="Work in this folder and keep it.")
@click.pass_context
def command(ctx: click.Context, keep: str | None) -> int:
    pipeline.refuse_foreign_packages()
    quiet = max(-1, (ctx.obj or {}).get("verbosity", 0) - 1)
    log.set_up(verbosity=quiet)
    if keep:
        return demo(Path(keep).resolve(), quiet, keep=True)
    with tempfile.TemporaryDirectory(prefix="samlog-demo-") as folder:
        return demo(Path(folder), quiet)


def demo(folder: Path, verbosity: int, *, keep: bool = False) -> int:
    """Runs the pipeline below ``folder`` and prints the transcript; returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "samlog.yaml"
    config.write_bytes(orjson.dumps(settings(folder)))
    loaded = pipeline.load_settings(str(config), {})
    stages = pipeline.chosen(())
    summary(f"starting {', '.join(stages)} on the logs of {len(UNITS)} units …")
    code, told, seconds = run(loaded, stages, until_idle=True, verbosity=verbosity)
    if code != Exit.DONE:
        raise SamlogError(f"the demo's pipeline ended with {code}; see the lines above")
    for line in story(loaded.settings):
        click.echo(line)
    click.echo(summary_line(told, seconds))
    if keep:
        click.echo(f"kept: samlog search -c {config} source.ip:203.0.113.7")
    click.echo("next: samlog init > samlog.yaml && samlog check samlog.yaml && samlog run")
    return Exit.DONE


def story(settings: Settings) -> Iterator[str]:
    """Yields for each unit one alert with its way from the raw line, then the other alerts.

    Told is the alert with the most events behind it that is more than low; of several the gravest.
    """
    store = pipeline.open_store(settings, pipeline.system_clock())
    try:
        with pipeline.alert_register(settings) as register:
            alerts = [orjson.loads(register.latest(row["id"])) for row in register.rows()]
        for unit, (title, _, kind) in UNITS.items():
            mine = [alert for alert in alerts if alert["producer"]["unit"] == unit]
            mine.sort(key=lambda alert: (alert["priority"]["code"], alert["rule"]["title"]))
            first = max(mine, key=worth, default=None)
            if first is not None:
                yield f"── {title} ({kind}) ".ljust(60, "─")
                yield from transcript(first, store, unit)
            yield from (also(alert) for alert in mine if alert is not first)
        yield "─" * 60
    finally:
        store.close()


def settings(folder: Path) -> dict[str, Any]:
    """Returns the demo's configuration: every unit one file, one file sink."""
    shipped = files("samlog").joinpath("demo")
    return {
        "bus": {"type": "embedded", "path": str(folder / "data")},
        "store": {"type": "embedded", "path": str(folder / "data")},
        "units": {
            unit: {"title": title, "defaults": {"municipality": f"kommune-{unit[-1]}"}}
            for unit, (title, _, _) in UNITS.items()
        },
        "sources": [
            {"type": "file", "unit": unit, "paths": [str(shipped.joinpath(name))]}
            for unit, (_, name, _) in UNITS.items()
        ],
        "sinks": [{"type": "file", "path": str(folder / CHANNEL)}],
        "http": {"listen": "127.0.0.1:0"},
    }


def worth(alert: dict[str, Any]) -> tuple[bool, int]:
    """Returns what the alert to tell is chosen by: more than low, then how many events."""
    return alert["priority"]["label"] != "lav", alert["count"]


def transcript(alert: dict[str, Any], store: EventStore, unit: str) -> list[str]:
    """Returns raw line, event, rule and alert, a line each."""
    ids = [evidence["event_id"] for evidence in alert["evidence"]]
    # The stored alert names its evidence in event.id too.
    query = f'event.id:"{ids[0]}" AND NOT event.dataset:"samlog.alerts"'
    found = store.search(Query(query, (unit,)), limit=1)
    event: Event = found.hits[0].source if found.hits else {}
    fields = " ".join(f"{n}={harmless(str(event[n]), 60)}" for n in SHOWN if event.get(n))
    rule, level = alert["rule"], alert["priority"]["label"].upper()
    attack = ", ".join(rule["attack"]) or "no technique"
    return [
        f"raw     {harmless(str(event.get('event.original', '')), WIDTH)}{times(alert)}",
        f"ECS     {fields}",
        f"rule    {rule['title']} (Sigma {rule['id'][:8]}…, level {rule['level']}, "
        f"by {harmless(rule['author'], 60)})",
        f"alert   {level}  {seen(alert)}  {events(alert['count'])}  TLP:{alert['sharing']['tlp']}  "
        f"{attack}  → {CHANNEL}, evidence: {len(ids)} event id{'' if len(ids) == 1 else 's'}",
    ]


def also(alert: dict[str, Any]) -> str:
    """Returns one line about an alert."""
    level = alert["priority"]["label"].upper()
    return f"also    {level:8}{alert['rule']['title']}  {seen(alert)}  {events(alert['count'])}"


def times(alert: dict[str, Any]) -> str:
    """Returns ``(× 12 in 41 s)``; nothing where one event is all there was."""
    first, last = (datetime.fromisoformat(alert["time"][n]) for n in ("first_seen", "last_seen"))
    if alert["count"] == 1:
        return ""
    return f"     (× {alert['count']} in {(last - first).total_seconds():.0f} s)"


def seen(alert: dict[str, Any]) -> str:
    """Returns hosts, addresses and the beginning of user tokens, each once."""
    values = [o["value"] for o in sorted(alert["observables"], key=lambda o: o["type"])]
    short = [f"{v[:13]}…" if v.startswith("hmac:") else harmless(v, 60) for v in values]
    return "  ".join(dict.fromkeys(short))


def events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
