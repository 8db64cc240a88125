"""Push addresses: their kinds, and one address."""

from dataclasses import dataclass

# Each kind with its label. The setting NOTIFICATION_TRANSPORT maps kinds to transports.
ADDRESS_KINDS = (
    ("console", "console"),
    ("fcm_token", "FCM registration token"),
    ("fcm_fid", "FCM installation id"),
    ("apns", "APNs"),
    ("webpush", "Web Push"),
)
ALL_KINDS = frozenset(kind for kind, _label in ADDRESS_KINDS)


@dataclass(frozen=True, slots=True)
class Address:
    """A push address as the app registered it. `app_id` and `environment` are empty if the app sent none."""

    kind: str
    value: str
    app_id: str = ""
    environment: str = ""
