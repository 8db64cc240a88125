"""Settings of the product's rules: fixes, messages, unlocks and tills."""

from notifications.transports import REGISTRY
from promotions.conf.forms import File, Hours, Routes, Seconds, Whole
from promotions.conf.setting import DAY, HOUR, Declarations

SETTINGS = Declarations()
_declare = SETTINGS.declare

_declare("FIX_MAX_AGE_S", Seconds(60, 30 * DAY), "604800", "s", "Refuse older fixes on arrival.")
_declare("FIX_MAX_FUTURE_S", Seconds(0, DAY), "300", "s", "Refuse fixes further in the future on arrival.")
_declare(
    "ACCESS_TOKEN_LIFE_S",
    Seconds(HOUR, 3_650 * DAY),
    "31536000",
    "s",
    "Lifetime of a device's access token. Withdrawal and erasure revoke it earlier.",
)
_declare(
    "MESSAGES_PER_DEVICE_PER_DAY",
    Whole(0, 1_000),
    "3",
    "messages",
    "Maximum location messages per device and local day, over all brands.",
)
_declare(
    "MESSAGE_MAX_LATENESS_S",
    Seconds(1, DAY),
    "600",
    "s",
    "Send no message for a fix that arrives later than this after it was taken.",
)
_declare("QUIET_HOURS", Hours(), "21:30-08:00", "local time", "Send no message in these hours (store's time zone).")
_declare(
    "NOTIFICATION_TRANSPORT",
    Routes({name: transport.kinds for name, transport in REGISTRY.items()}),
    "console",
    "",
    "Transport of messages, by kind of push address: `console,apns=file` sends to APNs addresses with `file` and to all others with `console`. Without a transport for the other kinds, their messages fail with `no_transport`.",
)
_declare("NOTIFICATION_FILE", File(), "var/messages.jsonl", "", "File of the file transport, one JSON object per line.")
_declare("UNLOCK_FIX_MAX_AGE_S", Seconds(1, HOUR), "120", "s", "Maximum age of the fix of an unlock.")
_declare(
    "STORE_CODE_DEVICES_NORM",
    Whole(1, 1_000_000),
    "10",
    "devices",
    "Raise an alarm when more devices use one 15 s step of a store's code: someone may be passing the code on.",
)
_declare(
    "RESERVATION_LIFE_S",
    Seconds(60, DAY),
    "2700",
    "s",
    "Time for which “keep my turn” reserves a unit of a cap. Three of four arrivals happen within half an hour.",
)
_declare(
    "RESERVATIONS_PER_DEVICE",
    Whole(0, 100),
    "3",
    "reservations",
    "Maximum simultaneous reservations per device, over all campaigns.",
)
_declare("VOID_WINDOW_S", Seconds(0, 30 * DAY), "900", "s", "Time in which a staff device may void its own redemption.")
_declare(
    "VOID_WINDOW_MANAGER_S",
    Seconds(0, 365 * DAY),
    "604800",
    "s",
    "Time in which a store manager may void a redemption.",
)
_declare(
    "STAFF_IDLE_SIGN_OUT_S",
    Seconds(60, 30 * DAY),
    "14400",
    "s",
    "Sign out a staff member who has redeemed nothing at the till for this long.",
)
_declare(
    "GUESSES_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "60",
    "codes",
    "Unknown codes allowed for all tills together. Beyond it, tills that sent one in the last minute must wait. 0: no limit.",
)
_declare(
    "OFFLINE_COUPONS_PER_TILL",
    Whole(0, 10_000),
    "20",
    "coupons",
    "Coupons a till may redeem offline within twelve hours; 0: none.",
)
_declare(
    "OFFLINE_VALUE_PER_TILL",
    Whole(0, 10_000_000),
    "100",
    "store's currency",
    "Maximum total value of the coupons a till redeems offline within twelve hours. A brand's maximum loss is this value times the number of tills that redeem its coupons.",
)
_declare(
    "OFFLINE_MAX_COUPON_VALUE",
    Whole(0, 10_000_000),
    "20",
    "store's currency",
    "Maximum value of one use of a coupon that is redeemed offline. A coupon of unknown value is never redeemed offline.",
)
_declare("STAFF_ENROLMENT_LIFE_S", Seconds(60, DAY), "600", "s", "Lifetime of the one-time token of an enrolment.")
_declare(
    "IDEMPOTENCY_LIFE_S",
    Seconds(HOUR, 30 * DAY),
    "86400",
    "s",
    "Time for which an answer is kept for a repeated Idempotency-Key.",
)
