"""Addresses on which sources listen, and what to type when one can't be had."""

import errno
import socket

from samlog.errors import ConfigError, Unavailable


def bind(
    address: tuple[str, int], kind: socket.SocketKind, *, receive_bytes: int = 0
) -> socket.socket:
    """Binds a non-blocking socket.

    Raises `Unavailable` when the port is in use and `ConfigError` when the address can't be had;
    both say what to type.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            # Otherwise connections of the process before this one hold the port for a minute.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen(128)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise _refused(host, port, kind, error) from error
    return made


def _refused(
    host: str, port: int, kind: socket.SocketKind, error: OSError
) -> ConfigError | Unavailable:
    protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    what = f"cannot listen on {protocol} {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        flag = "u" if protocol == "UDP" else "t"
        return Unavailable(
            f"{what}: the port is in use. Who has it: ss -ln{flag}p 'sport = :{port}'; "
            "stop that program or choose another port in listen:"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"{what}: ports below 1024 need a privilege. Choose one above, e.g. listen: "
            f"{host}:5514, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE"
        )
    if error.errno in (errno.EADDRNOTAVAIL, socket.EAI_NONAME) or isinstance(
        error, socket.gaierror
    ):
        return ConfigError(
            f"{what}: this machine has no such address. Its addresses: ip -br address; "
            f"listen: 0.0.0.0:{port} takes all"
        )
    return ConfigError(f"{what}: {error.strerror}")


def peer_name(address: str) -> str:
    """Returns an IP address without zone and without the prefix of IPv4 in IPv6."""
    return address.partition("%")[0].removeprefix("::ffff:")
