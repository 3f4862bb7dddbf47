"""``samlog alerts``: what the pipeline found, and what people decided about it."""

import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from alerts.outbox import TOPIC, Outbox
from alerts.register import STATUSES
from samlog import pipeline
from samlog.cli.common import (
    Examples,
    check_units,
    config_option,
    emit,
    json_option,
    summary,
    table,
)
from samlog.cli.search_ import moment
from samlog.clock import iso_ms
from samlog.config import Settings
from samlog.errors import ConfigError, Exit
from samlog.log import harmless


@click.group(
    cls=Examples,
    name="alerts",
    help="\b\nExample: samlog alerts ls --status new\n\n"
    "List, show, acknowledge and close alerts, and send them again.",
)
def command() -> None:
    pass


@command.command(
    "ls", help="\b\nExample: samlog alerts ls --unit enheda\n\nList alerts, newest first."
)
@click.option("--unit", "units", multiple=True, help="Only this unit; may be repeated.")
@click.option("--status", type=click.Choice(STATUSES), help="Only this status.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most this many.",
)
@config_option
@json_option
def ls(
    units: tuple[str, ...], status: str | None, limit: int, config: str | None, as_json: bool
) -> int:
    settings = pipeline.load_settings(config).settings
    check_units(settings, units)
    with pipeline.alert_register(settings) as register:
        rows = list(register.rows(units=units, status=status or "", limit=limit))
    if as_json:
        emit(rows)
    else:
        names = ("id", "priority", "unit", "count", "last_seen", "status", "title", "entity")
        table(names, (_cells(row, names) for row in rows))
    return Exit.DONE


def _cells(row: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    return [row[name][-12:] if name == "id" else row[name] for name in names]


@command.command(
    "show",
    help="\b\nExample: samlog alerts show 3f2a…\n\n"
    "Show an alert with its evidence and the query that finds it in Kibana. "
    "ID may be the beginning or the end of an id.",
)
@click.argument("id")
@config_option
@json_option
def show(id: str, config: str | None, as_json: bool) -> int:
    settings = pipeline.load_settings(config).settings
    with pipeline.alert_register(settings) as register:
        body, past = register.latest(id), register.history(id)
    alert = orjson.loads(body)
    with pipeline.alert_outbox(settings) as outbox:
        refused = outbox.refusals(alert=alert["id"])
    if as_json:
        click.echo(body.decode())
        return Exit.DONE
    lines = [
        f"{alert['priority']['label'].upper()}  {alert['summary']['en']}",
        f"id        {alert['id']}  (seq {alert['seq']}, revision {alert['revision']})",
        f"rule      {alert['rule']['title']}  ({alert['rule']['id']}, {alert['rule']['level']})",
        f"author    {alert['rule']['author']}",
        f"subject   {alert['producer']['unit']} / {alert['subject']['municipality']} / "
        f"{alert['subject']['system']} ({alert['subject']['zone']})",
        f"seen      {alert['time']['first_seen']} … {alert['time']['last_seen']}, "
        f"{alert['count']} events",
        f"class     {alert['classification']['class']}/{alert['classification']['type']}  "
        f"ATT&CK {', '.join(alert['rule']['attack']) or '-'}  TLP:{alert['sharing']['tlp']}",
        f"state     {alert['state']['status']} by {alert['state']['actor']} "
        f"at {alert['state']['changed_at']}",
    ]
    lines += [f"seen      {o['role']} {o['type']} {o['value']}" for o in alert["observables"]]
    lines += [f"history   {h['at']} {h['actor']}: {h['status']} {h['note']}" for h in past]
    lines += [f"refused   by {r.sink}, revision of {_time(r.made_at)}: {r.reason}" for r in refused]
    click.echo("\n".join(harmless(line, 1_000) for line in lines))
    click.echo("\nfind the evidence, in Kibana (KQL) or with samlog search:")
    click.echo(evidence_query(alert))
    return Exit.DONE


def _time(unix: float) -> str:
    return iso_ms(datetime.fromtimestamp(unix, UTC))


def evidence_query(alert: dict[str, Any]) -> str:
    """Returns the query that finds an alert's events; valid as KQL and as Lucene."""
    ids = " OR ".join(f'"{e["event_id"]}"' for e in alert["evidence"])
    return f'event.id:({ids}) AND NOT event.dataset:"samlog.alerts"'


def _change(status: str) -> Callable[..., int]:
    def change(id: str, cause: str, note: str, actor: str, config: str | None) -> int:
        with pipeline.alert_register(pipeline.load_settings(config).settings) as register:
            now = pipeline.system_clock().now()
            register.change(id, status, actor or _user(), now, cause=cause, note=note)
            full = register.resolve(id)
        summary(f"{full}: {status}; the next revision tells it to every sink")
        return Exit.DONE

    return change


def _user() -> str:
    """Returns who runs this; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


for verb, status_, example in (
    ("ack", "acknowledged", "samlog alerts ack 3f2a"),
    ("progress", "in_progress", "samlog alerts progress 3f2a --note 'host isolated'"),
    ("contain", "contained", "samlog alerts contain 3f2a"),
    ("restore", "restored", "samlog alerts restore 3f2a"),
    ("close", "closed", "samlog alerts close 3f2a --cause 'password sprayed, account locked'"),
):
    handler = _change(status_)
    for decorator in (
        config_option,
        click.option("--actor", default="", help="Who decides; default: the user that runs it."),
        click.option("--note", default="", help="Kept in the alert's history."),
        click.option("--cause", default="", help="Cause; needed to close a kritisk or høj one."),
        click.argument("id"),
    ):
        handler = decorator(handler)
    command.command(verb, help=f"\b\nExample: {example}\n\nMark an alert {status_}.")(handler)


@command.command(
    "resend",
    help="\b\nExample: samlog alerts resend --to cert --since 48h\n"
    "Example: samlog alerts resend --from-sink webhook --to cert\n\n"
    "Send alerts to a sink again: those since a time, or those that wait for a sink that had "
    "another name. They go out in order, with the same ids, while samlog run runs.",
)
@click.option("--to", required=True, metavar="SINK", help="Who gets them; a sink's name: or type.")
@click.option("--from-sink", "old", metavar="SINK", help="Whose alerts: all that it has not got.")
@click.option("--since", help="All made since: 2026-01-10, or 15m, 24h, 7d for ago.")
@config_option
def resend(to: str, old: str | None, since: str | None, config: str | None) -> int:
    if (old is None) == (since is None):
        raise click.UsageError("give either --from-sink or --since")
    settings = pipeline.load_settings(config).settings
    labels = _labels(settings)
    if to not in labels:
        raise ConfigError(f"no sink is called '{to}'; known: {', '.join(labels) or 'none'}")
    with pipeline.alert_outbox(settings, read_only=False) as outbox:
        count = outbox.rewind(to, _place(outbox, old, since))
        if old is not None and old not in (TOPIC, *labels):
            outbox.forget(old)
    summary(f"{to}: {count} alert revisions wait now; samlog run sends them")
    return Exit.DONE


def _place(outbox: Outbox, old: str | None, since: str | None) -> int:
    """Returns behind which number the revisions are that somebody wants to have sent again."""
    if old is None:
        return outbox.place_before(moment(since or "", pipeline.system_clock().now()))
    place = outbox.place(old)
    if place is None:
        known = ", ".join(outbox.waiting()) or "none"
        raise ConfigError(f"alerts never went to a sink '{old}'; known: {known}")
    return place


@command.command(
    "forget",
    help="\b\nExample: samlog alerts forget webhook\n\n"
    "Drop what waits for a sink that is not in the configuration any more.",
)
@click.argument("sink")
@config_option
def forget(sink: str, config: str | None) -> int:
    settings = pipeline.load_settings(config).settings
    if sink in _labels(settings):
        raise ConfigError(f"'{sink}' is a sink of the configuration; take it out there first")
    with pipeline.alert_outbox(settings, read_only=False) as outbox:
        waiting = outbox.orphans(_labels(settings))
        if sink not in waiting:
            known = ", ".join(waiting) or "none"
            raise ConfigError(f"nothing waits for a sink '{sink}'; of sinks of the past: {known}")
        outbox.forget(sink)
    summary(f"{sink}: {waiting[sink]} alert revisions are not sent to it any more")
    return Exit.DONE


def _labels(settings: Settings) -> list[str]:
    return [sink.label for sink in settings.sinks]
