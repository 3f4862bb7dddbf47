"""Amazon resource names and what they say about an event."""

from samlog.event import Event


def set_cloud(event: Event, service: str = "", account: str = "", region: str = "") -> None:
    """Sets ``cloud.*`` of an event that AWS wrote; "" sets nothing."""
    event["cloud.provider"] = "aws"
    for name, value in (
        ("cloud.service.name", service),
        ("cloud.account.id", account),
        ("cloud.region", region),
    ):
        if value:
            event[name] = value


def read_arn(arn: str) -> tuple[str, str, str, str]:
    """Returns (service, region, account, resource) of ``arn:aws:<..>``; four times "" for others.

    Format: "Amazon Resource Names (ARNs)" of the IAM reference; the resource may hold colons.
    """
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return "", "", "", ""
    return parts[2], parts[3], parts[4], parts[5]
