"""Audit record types and system calls: what each means in ECS, and which belong together.

Types are those of linux/audit.h and of audit-userspace's libaudit.h. The words of ``event.action``
are those of Elastic's auditd integrations, so that searches written for them find these events.
"""

from typing import NamedTuple

# linux/audit.h; the kernel prints numbers where no daemon takes its records.
_NUMBERED = (
    (1305, "CONFIG_CHANGE SOCKADDR CWD"),
    (1309, "EXECVE"),
    (1311, "IPC_SET_PERM MQ_OPEN MQ_SENDRECV MQ_NOTIFY MQ_GETSETATTR KERNEL_OTHER FD_PAIR OBJ_PID"),
    (1319, "TTY EOE BPRM_FCAPS CAPSET MMAP NETFILTER_PKT NETFILTER_CFG SECCOMP PROCTITLE"),
    (1328, "FEATURE_CHANGE REPLACE KERN_MODULE FANOTIFY TIME_INJOFFSET TIME_ADJNTPVAL BPF"),
    (1335, "EVENT_LISTENER URINGOP OPENAT2 DM_CTRL DM_EVENT"),
    (1400, "AVC SELINUX_ERR AVC_PATH MAC_POLICY_LOAD MAC_STATUS MAC_CONFIG_CHANGE"),
    (1406, "MAC_UNLBL_ALLOW MAC_CIPSOV4_ADD MAC_CIPSOV4_DEL MAC_MAP_ADD MAC_MAP_DEL"),
    (1411, "MAC_IPSEC_ADDSA MAC_IPSEC_DELSA MAC_IPSEC_ADDSPD MAC_IPSEC_DELSPD MAC_IPSEC_EVENT"),
    (1416, "MAC_UNLBL_STCADD MAC_UNLBL_STCDEL MAC_CALIPSO_ADD MAC_CALIPSO_DEL IPE_ACCESS"),
    (1421, "IPE_CONFIG_CHANGE IPE_POLICY_LOAD LANDLOCK_ACCESS LANDLOCK_DOMAIN MAC_TASK_CONTEXTS"),
    (1426, "MAC_OBJ_CONTEXTS"),
    (1700, "ANOM_PROMISCUOUS ANOM_ABEND ANOM_LINK ANOM_CREAT"),
    (1800, "INTEGRITY_DATA INTEGRITY_METADATA INTEGRITY_STATUS INTEGRITY_HASH INTEGRITY_PCR"),
    (1805, "INTEGRITY_RULE INTEGRITY_EVM_XATTR INTEGRITY_POLICY_RULE INTEGRITY_USERSPACE"),
    (2000, "KERNEL"),
)
# libaudit.h: what user space sends, and the kernel prints when auditd does not run.
_FROM_USERS = (
    (1100, "USER_AUTH USER_ACCT USER_MGMT CRED_ACQ CRED_DISP USER_START USER_END USER_AVC"),
    (1108, "USER_CHAUTHTOK USER_ERR CRED_REFR USYS_CONFIG USER_LOGIN USER_LOGOUT ADD_USER"),
    (1115, "DEL_USER ADD_GROUP DEL_GROUP DAC_CHECK CHGRP_ID TEST TRUSTED_APP USER_SELINUX_ERR"),
    (1123, "USER_CMD USER_TTY CHUSER_ID GRP_AUTH SYSTEM_BOOT SYSTEM_SHUTDOWN SYSTEM_RUNLEVEL"),
    (1130, "SERVICE_START SERVICE_STOP GRP_MGMT GRP_CHAUTHTOK MAC_CHECK ACCT_LOCK ACCT_UNLOCK"),
    (1137, "USER_DEVICE SOFTWARE_UPDATE"),
    (1200, "DAEMON_START DAEMON_END DAEMON_ABORT DAEMON_CONFIG DAEMON_RECONFIG DAEMON_ROTATE"),
    (1206, "DAEMON_RESUME DAEMON_ACCEPT DAEMON_CLOSE DAEMON_ERR"),
    (2100, "ANOM_LOGIN_FAILURES ANOM_LOGIN_TIME ANOM_LOGIN_SESSIONS ANOM_LOGIN_ACCT"),
    (2104, "ANOM_LOGIN_LOCATION ANOM_MAX_DAC ANOM_MAX_MAC ANOM_AMTU_FAIL ANOM_RBAC_FAIL"),
    (2109, "ANOM_RBAC_INTEGRITY_FAIL ANOM_CRYPTO_FAIL ANOM_ACCESS_FS ANOM_EXEC ANOM_MK_EXEC"),
    (2114, "ANOM_ADD_ACCT ANOM_DEL_ACCT ANOM_MOD_ACCT ANOM_ROOT_TRANS ANOM_LOGIN_SERVICE"),
    (2119, "ANOM_LOGIN_ROOT ANOM_ORIGIN_FAILURES ANOM_SESSION"),
    (2200, "RESP_ANOMALY RESP_ALERT RESP_KILL_PROC RESP_TERM_ACCESS RESP_ACCT_REMOTE"),
    (2205, "RESP_ACCT_LOCK_TIMED RESP_ACCT_UNLOCK_TIMED RESP_ACCT_LOCK RESP_TERM_LOCK"),
    (2209, "RESP_SEBOOL RESP_EXEC RESP_SINGLE RESP_HALT RESP_ORIGIN_BLOCK"),
    (2214, "RESP_ORIGIN_BLOCK_TIMED RESP_ORIGIN_UNBLOCK_TIMED"),
    (2300, "USER_ROLE_CHANGE ROLE_ASSIGN ROLE_REMOVE LABEL_OVERRIDE LABEL_LEVEL_CHANGE"),
    (2305, "USER_LABELED_EXPORT USER_UNLABELED_EXPORT DEV_ALLOC DEV_DEALLOC FS_RELABEL"),
    (2310, "USER_MAC_POLICY_LOAD ROLE_MODIFY USER_MAC_CONFIG_CHANGE USER_MAC_STATUS"),
    (2400, "CRYPTO_TEST_USER CRYPTO_PARAM_CHANGE_USER CRYPTO_LOGIN CRYPTO_LOGOUT"),
    (2404, "CRYPTO_KEY_USER CRYPTO_FAILURE_USER CRYPTO_REPLAY_USER CRYPTO_SESSION"),
    (2408, "CRYPTO_IKE_SA CRYPTO_IPSEC_SA"),
    (2500, "VIRT_CONTROL VIRT_RESOURCE VIRT_MACHINE_ID VIRT_INTEGRITY_CHECK VIRT_CREATE"),
    (2505, "VIRT_DESTROY VIRT_MIGRATE_IN VIRT_MIGRATE_OUT"),
)


def _by_number(runs: tuple[tuple[int, str], ...]) -> dict[str, str]:
    return {
        str(start + place): name
        for start, names in runs
        for place, name in enumerate(names.split())
    }


_KERNEL = {"1006": "LOGIN", "1300": "SYSCALL", "1302": "PATH", "1303": "IPC"}
_KERNEL |= _by_number(_NUMBERED)
NAMES: dict[str, str] = _KERNEL | _by_number(_FROM_USERS)
"""Type number → name."""

ALONE = frozenset(
    ("LOGIN", "TTY", "KERNEL", "REPLACE", "EVENT_LISTENER", "NETFILTER_PKT", "DM_CTRL", "DM_EVENT")
)
JOINED = frozenset(_KERNEL.values()) - ALONE | {"UNKNOWN"}
"""Types of the kernel that several records of one event may have. What user space sends (USER_..,
CRED_.., SERVICE_.., DAEMON_..) is always one record."""
LAST = frozenset({"PROCTITLE"})
"""The kernel writes it last; only EOE may follow (kernel/auditsc.c, audit_log_exit)."""
END = "EOE"


class Meaning(NamedTuple):
    """What a record type or system call is in ECS.

    ``copies`` names the rule by which users are told apart (`normalize.audit.users`), ``peer``
    that ``addr`` is where the user came from.
    """

    action: str
    category: tuple[str, ...]
    type: tuple[str, ...]
    copies: str = ""
    peer: bool = False


_AUTH = ("authentication",)
_IAM = ("iam",)
_HOST = ("host",)
_PROCESS = ("process",)
_CONFIGURATION = ("configuration",)
_FILE = ("file",)
_NETWORK = ("network",)
_INFO = ("info",)
_CHANGE = ("change",)
_START = ("start",)
_CONNECTION = ("connection", "start")
_TRAFFIC = ("connection", "info")
_USER_CHANGE = ("user", "change")

TYPES: dict[str, Meaning] = {
    "ACCT_LOCK": Meaning("locked-account", _IAM, ("user", "info")),
    "ACCT_UNLOCK": Meaning("unlocked-account", _IAM, ("user", "info")),
    "ADD_GROUP": Meaning("added-group-account-to", _IAM, ("group", "creation"), "group"),
    "ADD_USER": Meaning("added-user-account", _IAM, ("user", "creation"), "account"),
    "DEL_GROUP": Meaning("deleted-group-account-from", _IAM, ("group", "deletion"), "group"),
    "DEL_USER": Meaning("deleted-user-account", _IAM, ("user", "deletion"), "account"),
    "GRP_MGMT": Meaning("modified-group-account", _IAM, ("group", "change"), "group"),
    "GRP_CHAUTHTOK": Meaning("changed-group-password", _IAM, ("group", "change"), "group"),
    "ROLE_ASSIGN": Meaning("assigned-user-role-to", _IAM, _USER_CHANGE),
    "ROLE_MODIFY": Meaning("modified-role", _IAM, _CHANGE),
    "ROLE_REMOVE": Meaning("removed-user-role-from", _IAM, _USER_CHANGE),
    "USER_MGMT": Meaning("modified-user-account", _IAM, _USER_CHANGE, "account"),
    "USER_CHAUTHTOK": Meaning("changed-password", _IAM, _USER_CHANGE, "account"),
    "CRED_ACQ": Meaning("acquired-credentials", _AUTH, _INFO, "login"),
    "CRED_DISP": Meaning("disposed-credentials", _AUTH, _INFO, "login"),
    "CRED_REFR": Meaning("refreshed-credentials", _AUTH, _INFO, "login"),
    "GRP_AUTH": Meaning("authenticated-to-group", _AUTH, _INFO, "actor"),
    "LOGIN": Meaning("changed-login-id-to", _AUTH, _START, "loginuid"),
    "USER_ACCT": Meaning("was-authorized", _AUTH, _INFO, "login"),
    "USER_AUTH": Meaning("authenticated", _AUTH, _INFO, "login"),
    "USER_END": Meaning("ended-session", ("session",), ("end",), "login"),
    "USER_ERR": Meaning("error", _AUTH, _INFO, "login", peer=True),
    "USER_LOGIN": Meaning("logged-in", _AUTH, _START, "login", peer=True),
    "USER_LOGOUT": Meaning("logged-out", _AUTH, ("end",), "login"),
    "USER_START": Meaning("started-session", ("session",), _START, "login", peer=True),
    "USER_ROLE_CHANGE": Meaning("changed-role-to", (), ()),
    "VIRT_CONTROL": Meaning("issued-vm-control", _HOST, _INFO),
    "VIRT_CREATE": Meaning("created-vm-image", _HOST, _INFO),
    "VIRT_DESTROY": Meaning("deleted-vm-image", _HOST, _INFO),
    "VIRT_INTEGRITY_CHECK": Meaning("checked-integrity-of", _HOST, _INFO),
    "VIRT_MACHINE_ID": Meaning("assigned-vm-id", _HOST, ("creation",)),
    "VIRT_MIGRATE_IN": Meaning("migrated-vm-from", _HOST, _INFO),
    "VIRT_MIGRATE_OUT": Meaning("migrated-vm-to", _HOST, _INFO),
    "VIRT_RESOURCE": Meaning("assigned-vm-resource", _HOST, _INFO),
    "CHGRP_ID": Meaning("changed-group", _PROCESS, _CHANGE),
    "CHUSER_ID": Meaning("changed-user-id", _PROCESS, _CHANGE),
    "TEST": Meaning("sent-test", _PROCESS, _INFO),
    "TRUSTED_APP": Meaning("unknown", _PROCESS, _INFO),
    "USER_CMD": Meaning("ran-command", _PROCESS, _START),
    "SYSTEM_BOOT": Meaning("booted-system", _HOST, _INFO),
    "SYSTEM_RUNLEVEL": Meaning("changed-to-runlevel", _HOST, _CHANGE),
    "SYSTEM_SHUTDOWN": Meaning("shutdown-system", _HOST, _INFO),
    "SERVICE_START": Meaning("started-service", _PROCESS, _START),
    "SERVICE_STOP": Meaning("stopped-service", _PROCESS, ("end",)),
    "CONFIG_CHANGE": Meaning("changed-audit-configuration", ("process", "configuration"), _CHANGE),
    "DAEMON_ABORT": Meaning("aborted-auditd-startup", _PROCESS, ("end",)),
    "DAEMON_ACCEPT": Meaning("remote-audit-connected", _NETWORK, _CONNECTION),
    "DAEMON_CLOSE": Meaning("remote-audit-disconnected", _NETWORK, _CONNECTION),
    "DAEMON_CONFIG": Meaning("changed-auditd-configuration", ("process", "configuration"), _CHANGE),
    "DAEMON_END": Meaning("shutdown-audit", _PROCESS, ("end",)),
    "DAEMON_ERR": Meaning("audit-error", _PROCESS, _INFO),
    "DAEMON_RECONFIG": Meaning("reconfigured-auditd", ("process", "configuration"), _INFO),
    "DAEMON_RESUME": Meaning("resumed-audit-logging", _PROCESS, _CHANGE),
    "DAEMON_ROTATE": Meaning("rotated-audit-logs", _PROCESS, _CHANGE),
    "DAEMON_START": Meaning("started-audit", _PROCESS, _START),
    "KERNEL": Meaning("initialized-audit-subsystem", _PROCESS, _INFO),
    "USYS_CONFIG": Meaning("changed-configuration", _CONFIGURATION, _CHANGE),
    "NETFILTER_CFG": Meaning("loaded-firewall-rule-to", _CONFIGURATION, _CHANGE),
    "FEATURE_CHANGE": Meaning("changed-audit-feature", _CONFIGURATION, _CHANGE),
    "TTY": Meaning("typed", (), ()),
    "USER_TTY": Meaning("typed", (), ()),
    "FS_RELABEL": Meaning("relabeled-filesystem", (), ()),
    "LABEL_LEVEL_CHANGE": Meaning("modified-level-of", (), ()),
    "LABEL_OVERRIDE": Meaning("overrode-label-of", (), ()),
    "MAC_CHECK": Meaning("mac-permission", (), ()),
    "MAC_CONFIG_CHANGE": Meaning("changed-selinux-boolean", _CONFIGURATION, _CHANGE),
    "MAC_POLICY_LOAD": Meaning("loaded-selinux-policy", _CONFIGURATION, ("access",)),
    "MAC_STATUS": Meaning("changed-selinux-enforcement", _CONFIGURATION, _CHANGE),
    "USER_AVC": Meaning("access-permission", (), ()),
    "USER_MAC_CONFIG_CHANGE": Meaning("changed-mac-configuration", _CONFIGURATION, _CHANGE),
    "USER_MAC_POLICY_LOAD": Meaning("loaded-mac-policy", _CONFIGURATION, ("access",)),
    "USER_SELINUX_ERR": Meaning("access-error", (), ()),
    "SELINUX_ERR": Meaning("caused-mac-policy-error", (), ()),
    "SECCOMP": Meaning("violated-seccomp-policy", (), ()),
    "CRYPTO_KEY_USER": Meaning("negotiated-crypto-key", _PROCESS, _INFO, peer=True),
    "CRYPTO_SESSION": Meaning("started-crypto-session", _PROCESS, _INFO, peer=True),
    "CRYPTO_LOGIN": Meaning("crypto-officer-logged-in", (), ()),
    "CRYPTO_LOGOUT": Meaning("crypto-officer-logged-out", _PROCESS, _INFO),
    "DAC_CHECK": Meaning("access-result", (), ()),
    "ANOM_ABEND": Meaning("crashed-program", _PROCESS, ("end",)),
    "ANOM_EXEC": Meaning("attempted-execution-of-forbidden-program", _PROCESS, _START),
    "ANOM_LINK": Meaning("used-suspicious-link", (), ()),
    "ANOM_LOGIN_FAILURES": Meaning("failed-log-in-too-many-times-to", (), ()),
    "ANOM_LOGIN_LOCATION": Meaning("attempted-log-in-from-unusual-place-to", (), ()),
    "ANOM_LOGIN_SESSIONS": Meaning("opened-too-many-sessions-to", (), ()),
    "ANOM_LOGIN_TIME": Meaning("attempted-log-in-during-unusual-hour-to", (), ()),
    "ANOM_PROMISCUOUS": Meaning("changed-promiscuous-mode-on-device", (), ()),
    "ANOM_RBAC_INTEGRITY_FAIL": Meaning("tested-file-system-integrity-of", (), ()),
    "KERN_MODULE": Meaning("loaded-kernel-module", ("driver",), _START),
    "SOFTWARE_UPDATE": Meaning("package-updated", ("package",), _INFO),
    "USER": Meaning("sent-message", (), ()),
}
SELINUX = Meaning("violated-selinux-policy", (), ())
GRANTED = Meaning("avc", (), ())
"""``auditallow`` rules and changes of the policy log what was allowed, too."""
APPARMOR = Meaning("violated-apparmor-policy", (), ())

_CALLS: tuple[tuple[str, Meaning], ...] = (
    ("creat", Meaning("opened-file", _FILE, ("creation",))),
    ("fallocate truncate ftruncate", Meaning("opened-file", _FILE, _CHANGE)),
    ("open openat openat2 readlink readlinkat", Meaning("opened-file", _FILE, _INFO)),
    ("read", Meaning("read-file", _FILE, _INFO)),
    ("write", Meaning("wrote-to-file", _FILE, _CHANGE)),
    (
        "setxattr fsetxattr lsetxattr removexattr fremovexattr lremovexattr",
        Meaning("changed-file-attributes-of", _FILE, _CHANGE),
    ),
    (
        "chmod fchmod fchmodat fchmodat2",
        Meaning("changed-file-permissions-of", _FILE, _CHANGE),
    ),
    ("chown fchown fchownat lchown", Meaning("changed-file-ownership-of", _FILE, _CHANGE)),
    ("init_module finit_module", Meaning("loaded-kernel-module", ("driver",), _START)),
    ("delete_module", Meaning("unloaded-kernel-module", ("driver",), ("end",))),
    ("mkdir mkdirat", Meaning("created-directory", _FILE, ("creation",))),
    ("mount", Meaning("mounted", _FILE, ("creation",))),
    ("umount umount2", Meaning("unmounted", _FILE, ("deletion",))),
    ("rename renameat renameat2", Meaning("renamed", _FILE, _CHANGE)),
    (
        "access faccessat faccessat2 fstatat newfstatat stat stat64 fstat lstat statx"
        " getxattr lgetxattr fgetxattr",
        Meaning("checked-metadata-of", _FILE, _INFO),
    ),
    ("statfs fstatfs", Meaning("checked-filesystem-metadata-of", _FILE, _INFO)),
    ("symlink symlinkat", Meaning("symlinked", _FILE, ("creation",))),
    ("rmdir unlink unlinkat", Meaning("deleted", _FILE, ("deletion",))),
    ("utime utimes futimesat futimens utimensat", Meaning("changed-timestamp-of", _FILE, _INFO)),
    ("execve execveat", Meaning("executed", _PROCESS, _START)),
    ("listen", Meaning("listen-for-connections", _NETWORK, _START)),
    ("accept accept4", Meaning("accepted-connection-from", _NETWORK, _CONNECTION)),
    ("bind", Meaning("bound-socket", _NETWORK, _START)),
    ("connect", Meaning("connected-to", _NETWORK, _CONNECTION)),
    ("recv recvfrom recvmsg recvmmsg", Meaning("received-from", _NETWORK, _TRAFFIC)),
    ("send sendto sendmsg sendmmsg", Meaning("sent-to", _NETWORK, _TRAFFIC)),
    ("kill tkill tgkill", Meaning("killed-pid", _PROCESS, ("end",))),
    (
        "setuid seteuid setfsuid setreuid setgid setegid setfsgid setregid setresuid setresgid",
        Meaning("changed-identity-of", _PROCESS, _CHANGE),
    ),
    ("settimeofday clock_settime stime adjtimex", Meaning("changed-system-time", _HOST, _CHANGE)),
    ("mknod mknodat", Meaning("make-device", _FILE, ("creation",))),
    ("sethostname setdomainname", Meaning("changed-system-name", _HOST, _CHANGE)),
    ("mmap mmap2 brk", Meaning("allocated-memory", _PROCESS, _INFO)),
    (
        "sched_setparam sched_setscheduler sched_setattr",
        Meaning("adjusted-scheduling-policy-of", _PROCESS, _CHANGE),
    ),
)
CALLS: dict[str, Meaning] = {name: meaning for names, meaning in _CALLS for name in names.split()}
ANY_CALL = Meaning("", _PROCESS, _INFO)

INGRESS = frozenset({"accept", "accept4", "recvfrom", "recvmsg", "recvmmsg"})
EGRESS = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})
OBJECT_PLACE = {
    "mkdir": 1,
    "mkdirat": 1,
    "mount": 1,
    "rename": 2,
    "renameat": 2,
    "renameat2": 2,
}
"""Which PATH record names the object of a call; 0 where it is not here."""
