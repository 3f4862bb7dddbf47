"""Network devices whose lines are read as they are: keywords over the message."""

from detect.logsource import Fields, Source

CISCO_SERVICES = ("aaa", "bgp", "ldp", "syslog")
CISCO_DATASETS = ("cisco_ios.log", "cisco_asa.log", "cisco_ftd.log", "cisco_nexus.log")
PLAIN_LINES = ("system.syslog", "samlog.text")

LINE = Fields({})

SOURCES: tuple[Source, ...] = (
    *(
        Source("cisco", "", service, {"event.dataset": CISCO_DATASETS}, LINE)
        for service in CISCO_SERVICES
    ),
    *(
        Source(
            "cisco",
            "",
            service,
            {"event.dataset": PLAIN_LINES, "#cisco": ("yes",)},
            LINE,
        )
        for service in CISCO_SERVICES
    ),
)
