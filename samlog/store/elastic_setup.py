"""Index templates made, kept up to date and checked; what a server lacks is done without."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from samlog.errors import ConfigError, SamlogError, Unavailable
from samlog.store.base import StoreHealth
from samlog.store.elastic_client import Missing, Server
from samlog.store.elastic_mapping import template, template_name
from samlog.store.elastic_streams import backing_indices, pattern


def set_up(server: Server, units: Sequence[str], *, keep_days: int, dry_run: bool) -> Sequence[str]:
    """Makes what the units need and returns a line for each thing done; see the store."""
    keep_days = keep_days if has_life_cycle(server) else 0
    done = []
    for unit in units:
        wanted = template(unit, keep_days=keep_days)
        name = template_name(unit)
        if _digest_of(server, unit) != wanted["_meta"]["samlog"]:
            if not dry_run:
                server.call("PUT", f"/_index_template/{name}", wanted)
            done.append(f"index template {name} for logs-*-{unit}")
        for stream in _behind(server, unit, wanted["_meta"]["samlog"]):
            if not dry_run:
                server.call("POST", f"/{quote(stream)}/_rollover")
            done.append(f"new backing index of {stream}, for the new mapping")
    return done


def has_life_cycle(server: Server) -> bool:
    """Tells whether the server deletes old data by itself (data stream life cycle, 8.11)."""
    try:
        server.call("GET", "/_data_stream/logs-samlog.none-none/_lifecycle")
    except Missing:
        return True
    except ConfigError:
        return False
    return True


def health(server: Server, units: Sequence[str], *, keep_days: int) -> StoreHealth:
    """Returns what is wrong, a sentence each, with what to do."""
    try:
        cluster = server.call("GET", "/_cluster/health")
    except Unavailable as problem:
        return StoreHealth(False, problems=[f"{problem}. Is it running, and is store.urls right?"])
    except ConfigError as problem:
        return StoreHealth(True, problems=[str(problem)])
    found = StoreHealth(True)
    found.detail = {
        "cluster": cluster["cluster_name"],
        "status": cluster["status"],
        "nodes": cluster["number_of_nodes"],
        "server_time": _time(server),
    }
    if cluster["status"] == "red":
        found.problems.append(
            f"the cluster is red: {cluster['unassigned_shards']} shards are missing. "
            "Look at GET _cluster/allocation/explain"
        )
    try:
        found.version = _version(server)
        keep_days = keep_days if has_life_cycle(server) else 0
        for unit in units:
            found.problems += _template_problems(server, unit, keep_days)
    except SamlogError as problem:
        found.problems.append(str(problem))
    return found


def _version(server: Server) -> str:
    """``GET /`` would be usual; the minimal distribution has it not."""
    nodes = server.call("GET", "/_nodes/_local", params={"filter_path": "nodes.*.version"})
    return min((node["version"] for node in nodes.get("nodes", {}).values()), default="")


def _time(server: Server) -> float | None:
    """Returns the server's clock in seconds since 1970; None where the user may not ask.

    Its HTTP answers carry no ``Date``.
    """
    params = {"filter_path": "nodes.*.timestamp"}
    try:
        nodes = server.call("GET", "/_nodes/_local/stats/process", params=params).get("nodes", {})
    except SamlogError:
        return None
    return next((float(node["timestamp"]) / 1000 for node in nodes.values()), None)


def _template_problems(server: Server, unit: str, keep_days: int) -> list[str]:
    wanted = template(unit, keep_days=keep_days)["_meta"]["samlog"]
    there = _digest_of(server, unit)
    name = template_name(unit)
    if there is None:
        return [f"there is no index template {name}. Type: samlog setup"]
    if there != wanted:
        return [f"the index template {name} is of another version of samlog. Type: samlog setup"]
    return [
        f"the stream {stream} still has an older mapping. Type: samlog setup"
        for stream in _behind(server, unit, wanted)
    ]


def _digest_of(server: Server, unit: str) -> str | None:
    try:
        answer = server.call("GET", f"/_index_template/{template_name(unit)}")
    except Missing:
        return None
    found: dict[str, Any] = answer["index_templates"][0]["index_template"]
    return str(found.get("_meta", {}).get("samlog", ""))


def _behind(server: Server, unit: str, digest: str) -> list[str]:
    """Returns the streams whose index now written has another mapping than ``digest``."""
    answer = server.call(
        "GET",
        f"/{pattern([unit])}/_mapping",
        params={"filter_path": "*.mappings._meta", "ignore_unavailable": "true"},
    )
    return [
        indices[-1].stream
        for indices in backing_indices(server, [unit])
        if answer.get(indices[-1].name, {}).get("mappings", {}).get("_meta", {}).get("samlog")
        != digest
    ]
