"""Documents of Microsoft's cloud agree with the reference, and nothing that was sent is lost.

`FAULTS` lists where the reference is wrong or contradicts itself, with the evidence; agreement is
asserted with and without these fields.
"""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from normalize.frame import Normalizer
from normalize.registry import Registry
from samlog.event import H_SOURCE, Event

SHARED = Path(__file__).parents[2] / "../shared"
PAIRS = SHARED / "data/ecs-pairs"
SCORER = SHARED / "tools/ecs_score.py"
SIGMA_FIELDS = SHARED / "tools/sigma_ecs_fields.txt"
RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)

OWN = ("entra_signin", "m365_audit")
"""Sources with 20 pairs and more; the others are one pool."""
POOL = (
    *("entra_audit", "entra_idprotection", "entra_provisioning", "azure_activity"),
    *("azure_platform", "defender_endpoint", "defender_xdr"),
    *("exchange_online_trace", "exchange_messagetracking"),
)

Doc = dict[str, Any]


class Fault(NamedTuple):
    """Fields that the reference has wrong: in which sources and origin, where it holds, why."""

    sources: tuple[str, ...]
    origin: str
    fields: tuple[str, ...]
    why: str
    code: tuple[str, ...] = ()
    """Values of the expected ``event.code``; () is any."""


FAULTS = (
    Fault(
        (*OWN, *POOL),
        "integrations",
        ("event.dataset",),
        "the pipeline tests run without their data stream, which sets it (constant_keyword)",
    ),
    Fault(
        ("azure_activity",),
        "",
        ("event.", "user.", "message", "source.address"),
        "sign-ins (NonInteractiveUserSignInLogs) sent through the activity log's pipeline; no "
        "category of that log: 'Azure activity log event schema', Categories",
    ),
    Fault(
        ("azure_platform", "exchange_online_trace"),
        "",
        ("event.outcome",),
        "'succeeded' and 'Delivered': ECS allows failure, success, unknown",
    ),
    Fault(
        ("entra_audit",),
        "",
        ("event.category", "event.type"),
        "none; ECS's category iam is 'creation or changes of users, groups, roles'",
    ),
    Fault(
        ("exchange_online_trace", "exchange_messagetracking"),
        "",
        ("event.kind", "event.category", "event.action"),
        "none; ECS's category email exists since 8.0",
    ),
    Fault(
        ("entra_idprotection",),
        "",
        ("user.",),
        "none, though the record is about a user; later versions of the integration have them",
    ),
    Fault(
        ("m365_audit",),
        "integrations",
        ("event.category", "event.type"),
        "always also web and info; filebeat's module maps the same records to what they are",
    ),
    Fault(
        ("m365_audit",),
        "beats",
        ("event.type",),
        "'authentication_success' is no event.type of ECS",
        ("AzureActiveDirectoryStsLogon",),
    ),
    Fault(
        ("m365_audit",),
        "integrations",
        ("user.", "host.name"),
        "DLP's own agent as the user; 'Management Activity API schema', DLP: From is 'the user who "
        "triggered the event', and so filebeat's module has it",
        ("ComplianceDLPSharePoint",),
    ),
    Fault(
        ("m365_audit",),
        "integrations",
        ("url.scheme", "url.domain", "url.path", "url.extension"),
        "only url.original; filebeat's module takes the same URLs apart",
    ),
    Fault(
        ("m365_audit",),
        "beats",
        ("url.original", "file."),
        "none for sharing; the integration maps the same records",
        ("SharePointSharingOperation",),
    ),
    Fault(
        ("m365_audit",),
        "beats",
        ("user.target.",),
        "only for three operations; the integration has it for all on a user",
        ("AzureActiveDirectory",),
    ),
    Fault(
        ("defender_xdr",),
        "",
        ("source.ip",),
        "none: only host.ip, though 'CloudAppEvents' and 'IdentityLogonEvents' call IPAddress that "
        "of the endpoint that communicates, and no IP-based search or rule would find a sign-in",
    ),
    Fault(
        ("defender_xdr",),
        "integrations",
        ("source.user.name",),
        "who works on the incident (assignedTo), who is the source of nothing",
    ),
    Fault(
        ("defender_endpoint",),
        "beats",
        ("event.dataset", "event.provider"),
        "the names of the older module for what the integration calls by its present name",
    ),
)


def present(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"../shared/data is absent: {path.name}")
    return path


def pairs_of(sources: tuple[str, ...]) -> Iterator[Doc]:
    for path in sorted(present(PAIRS).rglob("pairs.ndjson")):
        for line in path.read_bytes().splitlines():
            pair = orjson.loads(line)
            if pair["source"] in sources:
                yield pair


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    return Normalizer({}, Registry())


def events(normalizer: Normalizer, pair: Doc, *, hints: bool = True) -> list[Event]:
    headers = {H_SOURCE: pair["source"].encode()} if hints else {}
    return normalizer.normalize(
        orjson.dumps(pair["input"]),
        headers,
        unit="enheda",
        key=None,
        position=("t", 0, 0),
        appended_at=RECEIVED,
    )


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(node, list):
        for value in node:
            yield from flat(value, prefix)
    elif node is not None and node != "":
        yield prefix, node


def faulty(pair: Doc) -> tuple[str, ...]:
    """Returns the fields (or their beginnings) that do not count in ``pair``."""
    code = dict(flat(pair["expected"] or {})).get("event.code")
    return tuple(
        field
        for fault in FAULTS
        if pair["source"] in fault.sources and fault.origin in ("", pair["origin"])
        if not fault.code or code in fault.code
        for field in fault.fields
    )


def without(doc: Doc, fields: tuple[str, ...]) -> Doc:
    kept: dict[str, list[Any]] = {}
    for name, value in flat(doc):
        exact = name in fields
        below = any(field.endswith(".") and name.startswith(field) for field in fields)
        if not exact and not below:
            kept.setdefault(name, []).append(value)
    return kept


def score(
    normalizer: Normalizer,
    tmp_path: Path,
    sources: tuple[str, ...],
    *options: str,
    adjusted: bool = False,
    hints: bool = True,
) -> Doc:
    """Returns the scorer's core figures over all pairs of ``sources``."""
    wanted, produced = [], []
    for pair in pairs_of(sources):
        doc: Doc = events(normalizer, pair, hints=hints)[0]
        if adjusted:
            fields = faulty(pair)
            pair["expected"] = without(pair["expected"] or {}, fields)
            doc = without(doc, fields)
        wanted.append(orjson.dumps({key: pair[key] for key in pair if key != "input"}))
        produced.append(orjson.dumps({"id": pair["id"], "doc": doc}))
    (tmp_path / "pairs.ndjson").write_bytes(b"\n".join(wanted))
    (tmp_path / "produced.ndjson").write_bytes(b"\n".join(produced))
    result = tmp_path / "score.json"
    produced_file = tmp_path / "produced.ndjson"
    subprocess.run(
        [sys.executable, str(SCORER), "--pairs", str(tmp_path), "--produced", str(produced_file)]
        + ["--json", str(result), *options],
        check=True,
        capture_output=True,
    )
    return orjson.loads(result.read_bytes())["total"]["groups"]["core"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("sources", "as_it_is"),
    [(("entra_signin",), 0.95), (("m365_audit",), 0.925), (POOL, 0.88)],
    ids=["entra_signin", "m365_audit", "pool"],
)
def test_documents_agree_with_the_reference(
    normalizer: Normalizer, tmp_path: Path, sources: tuple[str, ...], as_it_is: float
) -> None:
    assert score(normalizer, tmp_path, sources)["f1"] >= as_it_is
    assert score(normalizer, tmp_path, sources, adjusted=True)["f1"] >= 0.97


def test_documents_agree_as_well_without_hints(normalizer: Normalizer, tmp_path: Path) -> None:
    hinted = score(normalizer, tmp_path, (*OWN, *POOL))
    unhinted = score(normalizer, tmp_path, (*OWN, *POOL), hints=False)

    assert unhinted == hinted


@pytest.mark.parametrize("source", [*OWN, "defender_xdr", "defender_endpoint", "azure_platform"])
def test_the_fields_that_rules_read_are_there(
    normalizer: Normalizer, tmp_path: Path, source: str
) -> None:
    fields = str(present(SIGMA_FIELDS))
    found = score(normalizer, tmp_path, (source,), "--fields", fields, adjusted=True)

    assert found["recall"] >= 0.97


def records(pair: Doc) -> Doc:
    whole = pair["input"]
    if "o365audit" in whole:
        return dict(whole["o365audit"])
    return dict(orjson.loads(whole["message"]))


def test_no_value_that_was_sent_is_lost(normalizer: Normalizer) -> None:
    """Values taken out of JSON within a text are looked for there."""
    lost = []
    sources = tuple(name for name in (*OWN, *POOL) if name != "exchange_messagetracking")
    for pair in pairs_of(sources):
        event = events(normalizer, pair)[0]
        del event["event.original"]
        if event["event.dataset"] == "samlog.json":
            continue
        kept = orjson.dumps(event).decode()
        values = {str(value) for _, value in flat(event)}
        for name, value in flat(records(pair)):
            text = orjson.dumps(str(value)).decode()[1:-1]
            inside = orjson.dumps(text).decode()[1:-1]
            if str(value) in values or text in kept or inside in kept:
                continue
            nested = str(value)[:1] in ("{", "[")
            if nested and all(str(leaf) in kept for _, leaf in flat(orjson.loads(str(value)))):
                continue
            lost.append((name, str(value)[:80]))
    assert lost == []
