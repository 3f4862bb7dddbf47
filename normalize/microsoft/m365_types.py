"""The tables of the Office 365 Management Activity API schema that parsing needs."""

RECORD_TYPES: dict[int, str] = dict(
    enumerate(
        (
            *("ExchangeAdmin", "ExchangeItem", "ExchangeItemGroup", "SharePoint", ""),
            *("SharePointFileOperation", "OneDrive", "AzureActiveDirectory"),
            *("AzureActiveDirectoryAccountLogon", "DataCenterSecurityCmdlet"),
            *("ComplianceDLPSharePoint", "Sway", "ComplianceDLPExchange"),
            *("SharePointSharingOperation", "AzureActiveDirectoryStsLogon"),
            *("SkypeForBusinessPSTNUsage", "SkypeForBusinessUsersBlocked"),
            *("SecurityComplianceCenterEOPCmdlet", "ExchangeAggregatedOperation"),
            *("PowerBIAudit", "CRM", "Yammer", "SkypeForBusinessCmdlets", "Discovery"),
            *("MicrosoftTeams", "", "", "ThreatIntelligence", "MailSubmission", "MicrosoftFlow"),
            *("AeD", "MicrosoftStream", "ComplianceDLPSharePointClassification", "ThreatFinder"),
            *("Project", "SharePointListOperation", "SharePointCommentOperation"),
            *("DataGovernance", "Kaizala", "SecurityComplianceAlerts", "ThreatIntelligenceUrl"),
            *("SecurityComplianceInsights", "MIPLabel", "WorkplaceAnalytics", "PowerAppsApp"),
            *("PowerAppsPlan", "ThreatIntelligenceAtpContent", "LabelContentExplorer"),
            *("TeamsHealthcare", "ExchangeItemAggregated", "HygieneEvent"),
            *("DataInsightsRestApiAudit", "InformationBarrierPolicyApplication"),
            *("SharePointListItemOperation", "SharePointContentTypeOperation"),
            *("SharePointFieldOperation", "MicrosoftTeamsAdmin", "HRSignal"),
            *("MicrosoftTeamsDevice", "MicrosoftTeamsAnalytics", "InformationWorkerProtection"),
            *("Campaign", "DLPEndpoint", "AirInvestigation", "Quarantine", "MicrosoftForms"),
            *("ApplicationAudit", "ComplianceSupervisionExchange"),
            *("CustomerKeyServiceEncryption", "OfficeNative", "MipAutoLabelSharePointItem"),
            *("MipAutoLabelSharePointPolicyLocation", "MicrosoftTeamsShifts", ""),
            *("MipAutoLabelExchangeItem", "CortanaBriefing", "", "WDATPAlerts"),
        ),
        1,
    )
) | {
    82: "SensitivityLabelPolicyMatch",
    83: "SensitivityLabelAction",
    84: "SensitivityLabeledFileAction",
    85: "AttackSim",
    86: "AirManualInvestigation",
    87: "SecurityComplianceRBAC",
    88: "UserTraining",
    89: "AirAdminActionInvestigation",
    90: "MSTIC",
    91: "PhysicalBadgingSignal",
    93: "AipDiscover",
    94: "AipSensitivityLabelAction",
    95: "AipProtectionAction",
    96: "AipFileDeleted",
    97: "AipHeartBeat",
    98: "MCASAlerts",
    99: "OnPremisesFileShareScannerDlp",
    100: "OnPremisesSharePointScannerDlp",
    101: "ExchangeSearch",
    102: "SharePointSearch",
    103: "PrivacyInsights",
    105: "MyAnalyticsSettings",
    106: "SecurityComplianceUserChange",
    107: "ComplianceDLPExchangeClassification",
    109: "MipExactDataMatch",
    113: "MS365DCustomDetection",
    147: "CoreReportingSettings",
    148: "ComplianceConnector",
    154: "OMEPortal",
    174: "DataShareOperation",
    181: "EduDataLakeDownloadOperation",
    183: "MicrosoftGraphDataConnectOperation",
    186: "PowerPagesSite",
    188: "PlannerPlan",
    189: "PlannerCopyPlan",
    190: "PlannerTask",
    191: "PlannerRoster",
    192: "PlannerPlanList",
    193: "PlannerTaskList",
    194: "PlannerTenantSettings",
    195: "ProjectForThewebProject",
    196: "ProjectForThewebTask",
    197: "ProjectForThewebRoadmap",
    198: "ProjectForThewebRoadmapItem",
    199: "ProjectForThewebProjectSettings",
    200: "ProjectForThewebRoadmapSettings",
    216: "VivaGoals",
    217: "MicrosoftGraphDataConnectConsent",
    218: "AttackSimAdmin",
    230: "TeamsUpdates",
    231: "PlannerRosterSensitivityLabel",
    237: "DefenderExpertsforXDRAdmin",
    251: "VfamCreatePolicy",
    252: "VfamUpdatePolicy",
    253: "VfamDeletePolicy",
    261: "CopilotInteraction",
    287: "ProjectForThewebAssignedToMeSettings",
}
"""AuditLogRecordType → name; "" and missing ones have none in the schema and stay numbers."""

_FILE_ACCESS = ("FileAccessed", "FileDownloaded", "FilePreviewed", "FileAccessedExtended")
_CHANGED = ("Modified", "Moved", "Renamed", "Restored")
_FILE = ("file",)

ACTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(_FILE_ACCESS, (_FILE, ("access",))),
    **{f"{what}{how}": (_FILE, ("change",)) for what in ("File", "Folder") for how in _CHANGED},
    **{f"{what}Deleted": (_FILE, ("deletion",)) for what in ("File", "Folder")},
    **dict.fromkeys(("FileUploaded", "FolderCopied", "FolderCreated"), (_FILE, ("creation",))),
    "ComplianceSettingChanged": (("configuration",), ("change",)),
}
"""Operation → (event.category, event.type), in any workload."""

_SETTINGS = ("NetworkConfigurationUpdated", "SoftDeleteSettingsUpdated", "ProcessProfileFields")
_SHARED = ("FileDownloaded", "FileShared", "FileUpdateDescription", "FileVisited")

OF_RECORD_TYPE: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "AzureActiveDirectory": {
        "Add user.": (("iam",), ("user", "creation")),
        "Update user.": (("iam",), ("user", "change")),
        "Delete user.": (("iam",), ("user", "deletion")),
    },
    "MicrosoftTeams": {
        "TeamCreated": (("iam",), ("group", "creation")),
        "MemberAdded": (("iam",), ("group", "change")),
        "Delete user.": (("iam",), ("user", "deletion")),
    },
    "Yammer": {
        **dict.fromkeys(_SETTINGS, (("configuration",), ("change",))),
        "SupervisorAdminToggled": (("configuration",), ("change",)),
        "NetworkSecurityConfigurationUpdated": (("configuration", "iam"), ("change", "admin")),
        "GroupCreation": (("iam",), ("group", "creation")),
        "GroupDeletion": (("iam",), ("group", "deletion")),
        "NetworkUserSuspended": (("iam",), ("user",)),
        "UserSuspension": (("iam",), ("user",)),
        "FileCreated": (_FILE, ("creation",)),
        "FileUpdateName": (_FILE, ("creation",)),
        **dict.fromkeys(_SHARED, (_FILE, ("access",))),
    },
}
"""Record type → operation → (event.category, event.type)."""

RENAMED: dict[str, dict[str, str]] = {
    "AzureActiveDirectory": {
        "Add user.": "added-user-account",
        "Update user.": "modified-user-account",
        "Delete user.": "deleted-user-account",
    },
    "MicrosoftTeams": {
        "TeamCreated": "added-group-account-to",
        "MemberAdded": "added-users-to-group",
        "Delete user.": "deleted-user-account",
    },
}
"""Operations that ``event.action`` calls as Windows' account management does."""

SEVERITIES = {"informational": 1, "low": 2, "medium": 3, "high": 4}
