"""The configuration's ``tls:`` and ``sasl:`` in kafka-python's words."""

from typing import Any

from samlog.config import Sasl, Tls
from samlog.errors import ConfigError
from samlog.secrets import read_secret


def security(tls: Tls | None, sasl: Sasl | None) -> dict[str, Any]:
    """Returns the keyword arguments of kafka-python's clients; {} for a plain connection.

    Raises `ConfigError` for a file that is not there.
    """
    protocol = {
        (False, False): "PLAINTEXT",
        (True, False): "SSL",
        (False, True): "SASL_PLAINTEXT",
        (True, True): "SASL_SSL",
    }[tls is not None, sasl is not None]
    settings: dict[str, Any] = {"security_protocol": protocol} if tls or sasl else {}
    if tls is not None:
        for name in ("ca_file", "cert_file", "key_file"):
            file = getattr(tls, name)
            if file is not None and not file.is_file():
                raise ConfigError(f"bus.tls.{name}: {file} is not there")
            settings[f"ssl_{name.replace('_', '')}"] = str(file) if file else None
        settings["ssl_check_hostname"] = tls.check_hostname
    if sasl is not None:
        settings["sasl_mechanism"] = sasl.mechanism
        settings["sasl_plain_username"] = sasl.username
        settings["sasl_plain_password"] = read_secret(sasl.password_file, "bus.sasl.password_file")
    return settings
