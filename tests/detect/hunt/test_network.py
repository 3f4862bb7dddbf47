"""Networks as wildcards over addresses that are kept as text."""

from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.search.network import address_forms
from samlog.errors import RuleError


@pytest.mark.parametrize(
    ("network", "forms"),
    [
        ("10.0.0.0/8", ["10.*", "::ffff:10.*"]),
        ("192.0.2.1/32", ["192.0.2.1", "::ffff:192.0.2.1"]),
        ("::1/128", ["::1", "0:0:0:0:0:0:0:1"]),
        ("fe80::/10", ["fe8?:*", "fe9?:*", "fea?:*", "feb?:*"]),
        ("fc00::/7", ["fc??:*", "fd??:*"]),
        ("64:ff9b::/96", ["64:ff9b:0:0:0:0:*", "64:ff9b::*"]),
        ("::ffff:10.0.0.0/104", ["10.*", "::ffff:10.*"]),
        ("2001:db8::/36", ["2001:db8:?:*", "2001:db8:??:*", "2001:db8:???:*", "2001:db8::*"]),
        ("::/0", ["*:*"]),
    ],
)
def test_a_network(network: str, forms: list[str]) -> None:
    assert address_forms(network) == forms


def test_a_network_of_too_many_forms_is_refused() -> None:
    with pytest.raises(RuleError, match="too wide"):
        address_forms("::/3")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_an_ipv4_address_has_a_form_if_and_only_if_it_is_inside(
    base: int, other: int, length: int
) -> None:
    network = ip_network((base, length), strict=False)
    for number in (other, (int(network.network_address) + other) % 2**32):
        inside = ip_address(number) in network
        text = str(ip_address(number))
        assert any(fnmatchcase(text, form) for form in address_forms(str(network))) is inside


@given(st.integers(2**125, 2**128 - 1), st.integers(0, 2**128 - 1), st.integers(4, 128))
def test_an_ipv6_address_inside_has_a_form(base: int, other: int, length: int) -> None:
    network = ip_network((base, length), strict=False)
    try:
        forms = address_forms(str(network))
    except RuleError:
        return
    inside = ip_address(int(network.network_address) + other % network.num_addresses)
    unshortened = ":".join(f"{int(part, 16):x}" for part in inside.exploded.split(":"))

    assert any(fnmatchcase(unshortened, form) for form in forms)
