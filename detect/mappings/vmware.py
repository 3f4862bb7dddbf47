"""VMware ESXi: commands typed in its shell are created processes, its lines are those of Linux.

SigmaHQ has no product of its own for it; its rules for esxcli and vim-cmd are Linux rules.
"""

from detect.logsource import Fields, Source

VSPHERE = ("vsphere.log",)

SHELL = Fields(
    {
        "CommandLine": "process.command_line",
        "Image": "process.executable",
        "User": "user.name",
    }
)
LINE = Fields({}, below={name: name for name in ("message", "process.", "user.", "vsphere.")})

SOURCES: tuple[Source, ...] = (
    Source("linux", "", "syslog", {"event.dataset": VSPHERE}, LINE),
    Source(
        "linux",
        "process_creation",
        "",
        {"event.dataset": VSPHERE, "event.action": ("shell-command",)},
        SHELL,
    ),
)
