"""Windows PowerShell's classic and operational channel to ECS.

Classic events carry unnamed Data: one of them is a list ``HostName=..``; 4103 has ContextInfo, the
same list as ``Host Name = ..`` in the language of the host. Only the English and the classic names
are taken apart; the text itself stays in EventData.
"""

from normalize.windows.plan import Plan, compile_plan
from normalize.windows.record import EventData
from normalize.windows.values import account, command_line, file_path, integer
from samlog.event import Event

MAX_LINES = 4096
DETAILS = "powershell.command.invocation_details."
CONTEXT_FIELDS = {
    "hostname": "process.title",
    "hostversion": "powershell.process.executable_version",
    "hostid": "process.entity_id",
    "engineversion": "powershell.engine.version",
    "runspaceid": "powershell.runspace_id",
    "pipelineid": "powershell.pipeline_id",
    "commandname": "powershell.command.name",
    "commandtype": "powershell.command.type",
    "commandpath": "powershell.command.path",
    "providername": "powershell.provider.name",
    "newproviderstate": "powershell.provider.new_state",
    "newenginestate": "powershell.engine.new_state",
    "previousenginestate": "powershell.engine.previous_state",
    "shellid": "powershell.id",
}
NUMBERS = {
    "sequencenumber": "event.sequence",
    "detailsequence": "powershell.sequence",
    "detailtotal": "powershell.total",
}
SETTERS = {
    "hostapplication": command_line("process"),
    "scriptname": file_path(),
    "user": account(),
    "userid": account(),
    "connecteduser": account("source.user"),
}


def read_context(out: Event, text: str) -> None:
    """Reads lines ``Name=value``, ``Name = value`` and ``Name : value`` into ECS fields.

    The host's language decides about the sign.
    """
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        name, _, value = line.partition("=")
        if " : " in name:
            name, _, value = line.partition(" : ")
        value = value.strip()
        if not value:
            continue
        key = name.replace(" ", "").strip().lower()
        if (field := CONTEXT_FIELDS.get(key)) is not None:
            out[field] = value
        elif (field := NUMBERS.get(key)) is not None:
            number = integer(value)
            if number is not None:
                out[field] = number
        elif (write := SETTERS.get(key)) is not None:
            write(out, value)


def read_details(out: Event, text: str) -> None:
    """Reads ``ParameterBinding(Cmdlet): name="x"; value="y"`` lines into parallel lists."""
    types: list[str] = []
    commands: list[str] = []
    names: list[str] = []
    values: list[str] = []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        head, colon, rest = line.rstrip("\r").partition("): ")
        kind, paren, command = head.partition("(")
        if not colon or not paren or not kind.strip().isalpha():
            continue
        types.append(kind.strip())
        commands.append(command)
        name, semicolon, value = rest.partition("; value=")
        if semicolon and name.startswith("name="):
            names.append(name[5:])
            values.append(value)
        else:
            values.append(rest)
    for leaf, found in (
        ("type", types),
        ("related_command", commands),
        ("name", names),
        ("value", values),
    ):
        if found:
            out[DETAILS + leaf] = found


def _text(data: EventData, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def set_classic(out: Event, data: EventData) -> None:
    """Reads param3, the context of events 400, 403 and 600."""
    read_context(out, _text(data, "param3"))


def set_pipeline(out: Event, data: EventData) -> None:
    """Reads event 800: the command line, its context, its bindings."""
    if command := _text(data, "param1"):
        out["powershell.command.value"] = command
    read_context(out, _text(data, "param2"))
    read_details(out, _text(data, "param3"))


def set_module(out: Event, data: EventData) -> None:
    """Reads event 4103: ContextInfo and Payload.

    A user who is connected (remoting) is ``source.user`` and the one who acts, by the account that
    commands run as here, ``destination.user``: with JEA that is a virtual one.
    """
    read_context(out, _text(data, "ContextInfo"))
    if "source.user.name" in out:
        for leaf in ("name", "domain"):
            if ran_as := out.pop(f"user.{leaf}", ""):
                out[f"destination.user.{leaf}"] = ran_as
            if connected := out.get(f"source.user.{leaf}"):
                out[f"user.{leaf}"] = connected
    read_details(out, _text(data, "Payload"))
    set_sid(out, data)


def set_sid(out: Event, data: EventData) -> None:
    """Takes the account of the System part, which is the one that ran the command."""
    if sid := out.get("winlog.user.identifier"):
        out["user.id"] = sid
    if "user.name" not in out and (name := out.get("winlog.user.name")):
        out["user.name"] = name
        if domain := out.get("winlog.user.domain"):
            out["user.domain"] = domain


OTHER = ""
"""Where the plan of all other events of a channel stands."""
CLASSIC: dict[str, Plan] = {
    OTHER: compile_plan(category=("process",), kind=("info",), finish=(set_sid,)),
    "400": compile_plan(category=("process",), kind=("start",), finish=(set_classic,)),
    "403": compile_plan(category=("process",), kind=("end",), finish=(set_classic,)),
    "600": compile_plan(category=("process",), kind=("info",), finish=(set_classic,)),
    "800": compile_plan(category=("process",), kind=("info",), finish=(set_pipeline,)),
}
OPERATIONAL: dict[str, Plan] = {
    OTHER: compile_plan(category=("process",), kind=("info",), finish=(set_sid,)),
    "4103": compile_plan(category=("process",), kind=("info",), finish=(set_module,)),
    "4104": compile_plan(
        (
            ("ScriptBlockText", "powershell.file.script_block_text"),
            ("ScriptBlockId", "powershell.file.script_block_id"),
            ("MessageNumber", "powershell.sequence", integer),
            ("MessageTotal", "powershell.total", integer),
            ("Path", file_path()),
        ),
        category=("process",),
        kind=("info",),
        finish=(set_sid,),
    ),
    "4105": compile_plan(
        (
            ("ScriptBlockId", "powershell.file.script_block_id"),
            ("RunspaceId", "powershell.runspace_id"),
        ),
        category=("process",),
        kind=("start",),
        finish=(set_sid,),
    ),
    "4106": compile_plan(
        (
            ("ScriptBlockId", "powershell.file.script_block_id"),
            ("RunspaceId", "powershell.runspace_id"),
        ),
        category=("process",),
        kind=("end",),
        finish=(set_sid,),
    ),
}
