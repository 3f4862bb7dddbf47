"""What each Zeek log means in ECS: one function a log that has more to say than its connection."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from normalize.address import is_ip, set_endpoint
from normalize.zeek_logs import STATES
from samlog.event import Event

Fields = Mapping[str, Any]


_X509 = {
    "CN": "common_name",
    "C": "country",
    "L": "locality",
    "O": "organization",
    "OU": "organizational_unit",
    "ST": "state_or_province",
}
_RDN = re.compile(r"([A-Za-z0-9.]{1,64})=((?:[^,\\]|\\.)*)(?:,|\Z)", re.DOTALL)
_TLS_VERSION = re.compile(r"(TLS|SSL|DTLS)v(\d)(\d)?")
_HASHES = ("md5", "sha1", "sha256")


def connection(event: Event, fields: Fields) -> None:
    """conn.log: bytes are those on the IP level, as accounting needs them."""
    for side, prefix in (("source", "orig"), ("destination", "resp")):
        for name, field in (("bytes", f"{prefix}_ip_bytes"), ("packets", f"{prefix}_pkts")):
            if isinstance(fields.get(field), int):
                event[f"{side}.{name}"] = fields[field]
    for name in ("bytes", "packets"):
        parts = [event[f"{side}.{name}"] for side in ("source", "destination")
                 if f"{side}.{name}" in event]  # fmt: skip
        if parts:
            event[f"network.{name}"] = sum(parts)
    if isinstance(fields.get("service"), str):
        event["network.protocol"] = fields["service"]
    state = fields.get("conn_state")
    known = STATES.get(state) if isinstance(state, str) else None
    if known is not None:
        event["zeek.connection.state"] = state
        event["zeek.connection.state_message"], types = known
        event["event.type"] = list(types)
    origin, response = fields.get("local_orig"), fields.get("local_resp")
    if isinstance(origin, bool) and isinstance(response, bool):
        event["network.direction"] = (
            ("internal" if response else "outbound") if origin
            else ("inbound" if response else "external")
        )  # fmt: skip
    if fields.get("proto") == "icmp":
        event["zeek.connection.icmp.type"] = fields.get("id.orig_p")
        event["zeek.connection.icmp.code"] = fields.get("id.resp_p")


def dns(event: Event, fields: Fields) -> None:
    """dns.log: question, answers, the addresses among them, flags."""
    answers, times = fields.get("answers"), fields.get("TTLs")
    if isinstance(answers, list) and answers:
        lives = times if isinstance(times, list) and len(times) == len(answers) else None
        event["dns.answers"] = [
            {"data": data, **({"ttl": _whole(lives[i])} if lives else {})}
            for i, data in enumerate(answers)
            if isinstance(data, str)
        ]
        addresses = [data for data in answers if isinstance(data, str) and is_ip(data)]
        if addresses:
            event["dns.resolved_ip"] = addresses
    flags = [flag for flag in ("AA", "TC", "RD", "RA") if fields.get(flag) is True]
    if flags:
        event["dns.header_flags"] = flags
    if fields.get("trans_id") is not None:
        event["dns.id"] = str(fields["trans_id"])
    _copy(event, fields, ("query", "dns.question.name"), ("qtype_name", "dns.question.type"))
    if fields.get("qclass_name"):
        klass = str(fields["qclass_name"])
        event["dns.question.class"] = "IN" if klass == "C_INTERNET" else klass
    code = fields.get("rcode_name")
    event["dns.type"] = "answer" if code else "query"
    if isinstance(code, str) and code:
        event["dns.response_code"] = code
        event["event.outcome"] = "success" if code == "NOERROR" else "failure"


def http(event: Event, fields: Fields) -> None:
    """http.log: request, response, URL in parts."""
    _copy(
        event,
        fields,
        ("method", "http.request.method"),
        ("referrer", "http.request.referrer"),
        ("request_body_len", "http.request.body.bytes"),
        ("response_body_len", "http.response.body.bytes"),
        ("status_code", "http.response.status_code"),
        ("version", "http.version"),
        ("host", "url.domain"),
        ("uri", "url.original"),
        ("username", "user.name"),
        ("username", "url.username"),
        ("password", "url.password"),
        ("user_agent", "user_agent.original"),
    )
    if isinstance(fields.get("method"), str):
        event["event.action"] = fields["method"].lower()
    if "url.domain" in event and "destination.port" in event:
        event["url.port"] = event["destination.port"]
    _outcome_of_status(event, fields.get("status_code"))


def ssl(event: Event, fields: Fields) -> None:
    """ssl.log: version, cipher, the certificates' names."""
    _client_and_server(event)
    _copy(
        event,
        fields,
        ("cipher", "tls.cipher"),
        ("curve", "tls.curve"),
        ("established", "tls.established"),
        ("resumed", "tls.resumed"),
        ("server_name", "tls.client.server_name"),
        ("next_protocol", "tls.next_protocol"),
        ("ja3", "tls.client.ja3"),
        ("ja3s", "tls.server.ja3s"),
    )
    version = fields.get("version")
    if isinstance(version, str) and (match := _TLS_VERSION.fullmatch(version)):
        event["tls.version_protocol"] = "ssl" if match[1] == "SSL" else "tls"
        event["tls.version"] = f"{match[2]}.{match[3] or 0}"
    for field, place in (
        ("subject", "server.subject"),
        ("issuer", "server.issuer"),
        ("client_subject", "client.subject"),
        ("client_issuer", "client.issuer"),
    ):
        _certificate(event, fields.get(field), place)


def files(event: Event, fields: Fields) -> None:
    """files.log: who got which file from whom, its hashes."""
    for field, side in (("rx_hosts", "client"), ("tx_hosts", "server")):
        hosts = fields.get(field)
        if isinstance(hosts, list) and hosts and isinstance(hosts[0], str):
            event[f"{side}.ip"] = hosts[0]
    for kind in _HASHES:
        _copy(event, fields, (kind, f"file.hash.{kind}"))
    _copy(
        event,
        fields,
        ("mime_type", "file.mime_type"),
        ("total_bytes", "file.size"),
        ("filename", "file.name"),
    )
    uids = fields.get("conn_uids")
    if isinstance(uids, list) and uids:
        event["zeek.session_id"] = uids[0]


def kerberos(event: Event, fields: Fields) -> None:
    """kerberos.log: ``client`` is NAME/REALM."""
    _client_and_server(event)
    _copy(event, fields, ("request_type", "event.action"))
    client = fields.get("client")
    if isinstance(client, str):
        name, _, realm = client.rpartition("/")
        if name:
            event["user.name"] = name
        if realm:
            event["user.domain"] = realm
    _outcome_of_flag(event, fields.get("success"))
    _certificate(event, fields.get("cert.client_subject"), "client.subject", names_only=True)
    _certificate(event, fields.get("cert.server_subject"), "server.subject", names_only=True)


def dce_rpc(event: Event, fields: Fields) -> None:
    """dce_rpc.log: the operation is the action."""
    _copy(event, fields, ("operation", "event.action"))


def ssh(event: Event, fields: Fields) -> None:
    """ssh.log: the outcome is Zeek's guess from packet sizes; absent when it has none."""
    _outcome_of_flag(event, fields.get("auth_success"))


def smb_files(event: Event, fields: Fields) -> None:
    """smb_files.log: share path and file name; ``SMB::FILE_OPEN`` is the action."""
    _copy(event, fields, ("action", "event.action"), ("size", "file.size"))
    name, path = fields.get("name"), fields.get("path")
    if isinstance(name, str) and name:
        event["file.name"] = name.rpartition("\\")[2] or name
        event["file.path"] = f"{path}\\{name}" if isinstance(path, str) and path else name


def smb_mapping(event: Event, fields: Fields) -> None:
    """smb_mapping.log: the share."""
    _copy(event, fields, ("path", "file.path"))


def ftp(event: Event, fields: Fields) -> None:
    """ftp.log: command, user, file."""
    _copy(
        event,
        fields,
        ("user", "user.name"),
        ("command", "event.action"),
        ("file_size", "file.size"),
        ("mime_type", "file.mime_type"),
    )


def notice(event: Event, fields: Fields) -> None:
    """notice.log: the notice type is the rule."""
    _copy(event, fields, ("note", "rule.name"), ("msg", "rule.description"))
    for field, side in (("src", "source"), ("dst", "destination")):
        if isinstance(fields.get(field), str):
            set_endpoint(event, side, fields[field])
    if fields.get("dropped") is False:
        event["event.type"] = ["info", "allowed"]
    elif fields.get("dropped") is True:
        event["event.type"] = ["info", "denied"]


def signature(event: Event, fields: Fields) -> None:
    """signatures.log."""
    _copy(event, fields, ("sig_id", "rule.id"), ("event_msg", "rule.description"))
    for prefix, side in (("src", "source"), ("dst", "destination")):
        address = fields.get(f"{prefix}_addr")
        if isinstance(address, str):
            set_endpoint(event, side, address, _port(fields.get(f"{prefix}_port")))


def syslog(event: Event, fields: Fields) -> None:
    """syslog.log: somebody's syslog seen on the wire."""
    _copy(
        event,
        fields,
        ("message", "message"),
        ("facility", "log.syslog.facility.name"),
        ("severity", "log.syslog.severity.name"),
    )


def traceroute(event: Event, fields: Fields) -> None:
    """traceroute.log."""
    for field, side in (("src", "source"), ("dst", "destination")):
        if isinstance(fields.get(field), str):
            set_endpoint(event, side, fields[field])
    _copy(event, fields, ("proto", "network.transport"))


def weird(event: Event, fields: Fields) -> None:
    """weird.log."""
    _copy(event, fields, ("name", "rule.name"))


def dhcp(event: Event, fields: Fields) -> None:
    """dhcp.log: who got which address."""
    client, server = fields.get("client_addr"), fields.get("server_addr")
    if isinstance(client, str):
        set_endpoint(event, "source", client, 68)
        event["client.address"] = client
    if isinstance(server, str):
        set_endpoint(event, "destination", server, 67)
        event["server.address"] = server
    _copy(event, fields, ("domain", "network.name"))


def smtp(event: Event, fields: Fields) -> None:
    """smtp.log: envelope, subject, message id."""
    _copy(
        event,
        fields,
        ("mailfrom", "email.from.address"),
        ("rcptto", "email.to.address"),
        ("subject", "email.subject"),
        ("msg_id", "email.message_id"),
        ("user_agent", "email.x_mailer"),
    )


def sip(event: Event, fields: Fields) -> None:
    """sip.log."""
    _copy(event, fields, ("method", "event.action"), ("uri", "url.full"))
    _outcome_of_status(event, fields.get("status_code"))


def software(event: Event, fields: Fields) -> None:
    """Logs about a host alone: software, known_hosts, known_services, known_certs."""
    host = fields.get("host")
    if isinstance(host, str) and is_ip(host):
        event["host.ip"] = host


def ntlm(event: Event, fields: Fields) -> None:
    """ntlm.log: user, domain, outcome."""
    _copy(event, fields, ("username", "user.name"), ("domainname", "user.domain"))
    _outcome_of_flag(event, fields.get("success"))


def x509(event: Event, fields: Fields) -> None:
    """x509.log: the certificate as a file."""
    _copy(
        event,
        fields,
        ("certificate.serial", "file.x509.serial_number"),
        ("certificate.sig_alg", "file.x509.signature_algorithm"),
        ("certificate.key_alg", "file.x509.public_key_algorithm"),
        ("certificate.key_length", "file.x509.public_key_size"),
        ("san.dns", "file.x509.alternative_names"),
    )


def irc(event: Event, fields: Fields) -> None:
    """irc.log: the command; the nick is a user that anybody may be."""
    _copy(event, fields, ("command", "event.action"), ("user", "user.name"))


def tunnel(event: Event, fields: Fields) -> None:
    """tunnel.log: discovered, closed, expired."""
    _copy(event, fields, ("action", "event.action"))


def ntp(event: Event, fields: Fields) -> None:
    """ntp.log: the kind of addresses."""
    _family(event, fields.get("id.orig_h"))


def known_hosts(event: Event, fields: Fields) -> None:
    """known_hosts.log: an address that was seen for the first time that day."""
    software(event, fields)
    _family(event, fields.get("host"))


MAPPERS: Mapping[str, Callable[[Event, Fields], None]] = {
    "connection": connection,
    "dns": dns,
    "http": http,
    "ssl": ssl,
    "files": files,
    "kerberos": kerberos,
    "dce_rpc": dce_rpc,
    "ssh": ssh,
    "smb_files": smb_files,
    "smb_mapping": smb_mapping,
    "ftp": ftp,
    "notice": notice,
    "signature": signature,
    "syslog": syslog,
    "traceroute": traceroute,
    "weird": weird,
    "dhcp": dhcp,
    "smtp": smtp,
    "sip": sip,
    "software": software,
    "known_hosts": known_hosts,
    "known_services": software,
    "known_certs": software,
    "ntlm": ntlm,
    "x509": x509,
    "irc": irc,
    "tunnel": tunnel,
    "ntp": ntp,
}


def _family(event: Event, address: Any) -> None:
    if isinstance(address, str) and is_ip(address):
        event["network.type"] = "ipv6" if ":" in address else "ipv4"


def _copy(event: Event, fields: Fields, *pairs: tuple[str, str]) -> None:
    for field, name in pairs:
        value = fields.get(field)
        if value is not None and value != "" and not isinstance(value, dict):
            event[name] = value


def _client_and_server(event: Event) -> None:
    for side, flow_side in (("client", "source"), ("server", "destination")):
        if f"{flow_side}.address" in event:
            event[f"{side}.address"] = event[f"{flow_side}.address"]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _port(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _outcome_of_status(event: Event, status: Any) -> None:
    if isinstance(status, int):
        event["event.outcome"] = "success" if status < 400 else "failure"


def _outcome_of_flag(event: Event, flag: Any) -> None:
    if isinstance(flag, bool):
        event["event.outcome"] = "success" if flag else "failure"


def _certificate(event: Event, name: Any, place: str, *, names_only: bool = False) -> None:
    """Splits a distinguished name (RFC 2253) into ``tls.<side>.x509.<subject|issuer>.*``."""
    if not isinstance(name, str) or not name:
        return
    side, _, role = place.partition(".")
    if not names_only:
        event[f"tls.{place}"] = name
    for key, value in _RDN.findall(name[:4_096]):
        part = _X509.get(key.upper())
        if part is not None and value:
            field = f"tls.{side}.x509.{role}.{part}"
            event.setdefault(field, []).append(value.replace("\\,", ",").replace("\\\\", "\\"))
