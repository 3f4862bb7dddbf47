"""AWS CloudTrail by CloudTrail's own names, which SigmaHQ's rules use, and flows of VPCs."""

from detect.logsource import Fields, Source

_CLOUDTRAIL = "aws.cloudtrail."
_LEAVES = _CLOUDTRAIL + "flattened."
_SESSION = _CLOUDTRAIL + "user_identity.session_context."

CLOUDTRAIL = Fields(
    {
        "additionalEventData": _CLOUDTRAIL + "additional_eventdata",
        "awsRegion": "cloud.region",
        "errorCode": _CLOUDTRAIL + "error_code",
        "errorMessage": _CLOUDTRAIL + "error_message",
        "eventCategory": _CLOUDTRAIL + "event_category",
        "eventName": "event.action",
        "eventSource": "event.provider",
        "eventType": _CLOUDTRAIL + "event_type",
        "eventVersion": _CLOUDTRAIL + "event_version",
        "managementEvent": _CLOUDTRAIL + "management_event",
        "readOnly": _CLOUDTRAIL + "read_only",
        "recipientAccountId": _CLOUDTRAIL + "recipient_account_id",
        "requestParameters": _CLOUDTRAIL + "request_parameters",
        "responseElements": _CLOUDTRAIL + "response_elements",
        "sourceIPAddress": "source.address",
        "status": "event.outcome",
        "userAgent": "user_agent.original",
        "userIdentity.accessKeyId": _CLOUDTRAIL + "user_identity.access_key_id",
        "userIdentity.accountId": "cloud.account.id",
        "userIdentity.arn": _CLOUDTRAIL + "user_identity.arn",
        "userIdentity.invokedBy": _CLOUDTRAIL + "user_identity.invoked_by",
        "userIdentity.principalId": "user.id",
        "userIdentity.sessionContext.attributes.mfaAuthenticated": _SESSION + "mfa_authenticated",
        "userIdentity.sessionContext.sessionIssuer.arn": _SESSION + "session_issuer.arn",
        "userIdentity.sessionContext.sessionIssuer.type": _SESSION + "session_issuer.type",
        "userIdentity.sessionContext.sessionIssuer.userName": _SESSION + "session_issuer.user_name",
        "userIdentity.type": _CLOUDTRAIL + "user_identity.type",
        "userIdentity.userName": "user.name",
    },
    below={
        "additionalEventData.": _LEAVES + "additional_eventdata.",
        "requestParameters.": _LEAVES + "request_parameters.",
        "responseElements.": _LEAVES + "response_elements.",
    },
)

FINDING = Fields(
    {
        "accountId": "cloud.account.id",
        "description": "message",
        "region": "cloud.region",
        "severity": "aws.guardduty.severity.code",
        "title": "aws.guardduty.title",
        "type": "rule.name",
    }
)

FLOW = Fields(
    {
        "action": "event.action",
        "blocked": "aws.vpcflow.blocked",  # no flow has it: rules ask for it or for the action
        "dst_ip": "destination.ip",
        "dst_port": "destination.port",
        "src_ip": "source.ip",
        "src_port": "source.port",
    }
)

SOURCES: tuple[Source, ...] = (
    Source("aws", "", "cloudtrail", {"event.dataset": ("aws.cloudtrail",)}, CLOUDTRAIL),
    Source("aws", "", "guardduty", {"event.dataset": ("aws.guardduty",)}, FINDING),
    Source("", "firewall", "", {"event.dataset": ("aws.vpcflow",)}, FLOW),
)
