"""``host:port``, as it is written in the configuration."""

from typing import Annotated

from pydantic import AfterValidator


def parse_listen(text: str) -> tuple[str, int]:
    """Splits ``host:port``; IPv6 in brackets.

    >>> parse_listen("[::]:5514")
    ('::', 5514)
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address: write it like 0.0.0.0:5514 or [::]:5514")
    return host, int(port)


def _checked(text: str) -> str:
    parse_listen(text)
    return text


Listen = Annotated[str, AfterValidator(_checked)]
"""``host:port``; port 0 takes a free one."""


def without_login(url: str) -> str:
    """Returns ``url``; raises `ValueError` where it holds a user: it is shown to people."""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("an address holds no user and password; put them into a file of their own")
    return url


Url = Annotated[str, AfterValidator(without_login)]
"""An address that may be shown."""
