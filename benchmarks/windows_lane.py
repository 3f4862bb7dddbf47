"""The real Windows events with their logsource written into them, for engines that route by it.

An event of Sysmon or of the audit log belongs to a service and to one or more categories. Where
there are several (``registry_set`` and ``registry_event``), the first counts, and rules of the
others are left out for both engines.
"""

import gzip
import shutil
from pathlib import Path
from typing import Any

import orjson
import yaml

from detect.logsource import Router
from detect.mappings.windows import RAW_SOURCES

SET = "events/windows-security-datasets-50k.ndjson.gz"


def prepare_windows(folder: Path, shared: Path) -> tuple[list[bytes], Path]:
    """Returns the events with ``product``, ``service``, ``category``, and a folder of rules."""
    router = Router(RAW_SOURCES, ("product", "Channel", "EventID"))
    lines: list[bytes] = []
    left_out: set[str] = set()
    with gzip.open(shared / SET) as file:
        for line in file:
            event: dict[str, Any] = orjson.loads(line)
            found = [RAW_SOURCES[number] for number in sorted(router.route(event))]
            categories = list(dict.fromkeys(one.category for one in found if one.category))
            services = [one.service for one in found if one.service]
            left_out.update(categories[1:])
            event["product"] = "windows"
            if services:
                event["service"] = services[0]
            if categories:
                event["category"] = categories[0]
            lines.append(orjson.dumps(event))
    return lines, windows_rules(shared / "sigmahq", folder / "windows-rules", left_out)


def windows_rules(rules: Path, folder: Path, left_out: set[str]) -> Path:
    """Copies the rules for Windows that route by one category."""
    folder.mkdir()
    for path in sorted(rules.rglob("*.yml")):
        text = path.read_text("utf-8")
        first = next(yaml.load_all(text, Loader=yaml.CSafeLoader))
        source = first.get("logsource", {}) if isinstance(first, dict) else {}
        if source.get("product") == "windows" and source.get("category") not in left_out:
            shutil.copyfile(path, folder / path.name)
    return folder
