"""``samlog demo``: the whole pipeline on shipped logs, and what came of it."""

import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import orjson

from samlog import pipeline
from samlog.cli.common import summary
from samlog.cli.run_ import run, summary_line
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
    "url.original",
    "host.name",
    "ecs.version",
)
WIDTH = 150


@click.command(
    help="\b\nExample: samlog demo\n\n"
    "Run the whole pipeline on shipped logs of three units: embedded bus, embedded store, samlog's "
    "own rules. Nothing is left behind unless --keep names a folder."
)
@click.option("--keep", type=click.Path(file_okay=False), help="Work in this folder and keep it.")
@click.pass_context
def command(ctx: click.Context, keep: str | None) -> int:
    pipeline.refuse_foreign_packages()
    quiet = min(-1, (ctx.obj or {}).get("verbosity", 0))
    if keep:
        return demo(Path(keep).resolve(), quiet)
    with tempfile.TemporaryDirectory(prefix="samlog-demo-") as folder:
        return demo(Path(folder), quiet)


def demo(folder: Path, verbosity: int) -> int:
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
    store = pipeline.open_store(loaded.settings, pipeline.system_clock())
    try:
        with pipeline.alert_register(loaded.settings) as register:
            rows = list(register.rows())
            bodies = {row["id"]: register.latest(row["id"]) for row in rows}
        for unit in UNITS:
            mine = [row for row in rows if row["unit"] == unit]
            if mine:
                top = min(mine, key=lambda row: (RANK[row["priority"]], -row["count"], row["id"]))
                click.echo(f"── {UNITS[unit][0]} ({UNITS[unit][2]}) " + "─" * 40)
                click.echo("\n".join(transcript(orjson.loads(bodies[top["id"]]), store, unit)))
    finally:
        store.close()
    click.echo("─" * 60)
    click.echo(summary_line(told, seconds))
    click.echo("next: samlog init > samlog.yaml && samlog check samlog.yaml && samlog run")
    return Exit.DONE


RANK = {"kritisk": 1, "høj": 2, "middel": 3, "lav": 4}


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
        "sinks": [{"type": "file", "path": str(folder / "cert-channel.ndjson")}],
        "http": {"listen": "127.0.0.1:0"},
    }


def transcript(alert: dict[str, Any], store: EventStore, unit: str) -> list[str]:
    """Returns raw line, event, rule and alert, a line each."""
    ids = [evidence["event_id"] for evidence in alert["evidence"]]
    found = store.search(Query(f'event.id:"{ids[0]}"', (unit,)), limit=1)
    event: Event = found.hits[0].source if found.hits else {}
    times = f"     (× {alert['count']})" if alert["count"] > 1 else ""
    fields = " ".join(f"{n}={harmless(str(event[n]), 60)}" for n in SHOWN if event.get(n))
    rule, seen = alert["rule"], alert["observables"]
    who = "  ".join(o["value"] for o in seen if o["type"] != "hostname")
    attack = ", ".join(rule["attack"]) or "no technique"
    return [
        f"raw     {harmless(str(event.get('event.original', '')), WIDTH)}{times}",
        f"ECS     {fields}",
        f"rule    {rule['title']} (Sigma {rule['id'][:8]}…, level {rule['level']}, "
        f"by {harmless(rule['author'], 60)})",
        f"alert   {alert['priority']['label'].upper()}  {alert['summary']['en']}  {who}  "
        f"TLP:{alert['sharing']['tlp']}  {attack}  → cert-channel.ndjson, "
        f"evidence: {len(ids)} event id{'' if len(ids) == 1 else 's'}",
    ]
