"""Network devices whose lines are read as they are: keywords over the message."""

from detect.logsource import Fields, Source

CISCO_SERVICES = ("aaa", "bgp", "ldp", "syslog")
CISCO_DATASETS = ("cisco_ios.log", "cisco_nexus.log")

LINE = Fields({})

SOURCES: tuple[Source, ...] = tuple(
    Source("cisco", "", service, {"event.dataset": CISCO_DATASETS}, LINE)
    for service in CISCO_SERVICES
)
