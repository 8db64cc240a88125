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
_declare(
    "RESERVATION_REACH_M",
    Whole(100, 100_000),
    "2700",
    "m",
    "Largest distance from a store at which a device may reserve. By street, 2,700 m are 44 minutes on foot: a reservation's life.",
)
_declare(
    "RESERVATION_REFUSAL_LIFE_S",
    Seconds(0, DAY),
    "600",
    "s",
    "Time for which the refusal `not_at_store` of an unlock counts as the position of a reservation without a fix; 0: it does not count.",
)
_declare(
    "RESERVATION_SHARE_PERCENT",
    Whole(0, 100),
    "20",
    "%",
    "Largest share of a campaign's cap on unlocks that all reservations hold together, rounded down, but at least one unit; 0: no reservations under a cap.",
)
_NETWORK = "that one network (IPv4 /24, IPv6 /48) may get of one campaign"
_UNLIMITED = "0: no budgets of networks, which is the default with DEBUG."
_UNLOCKS = f"Unlocks on weak evidence {_NETWORK}"
_TENTH = "An unlock after a stay counts a tenth, one with the store's code nothing."
_RESERVATIONS = f"Reservations {_NETWORK}"
for _name, _default, _help in (
    ("UNLOCKS_BURST", "10", f"{_UNLOCKS} at once; further phones are asked to wait (`network_busy`). {_TENTH}"),
    ("UNLOCKS_PER_HOUR", "60", f"{_UNLOCKS} in an hour, after the burst. {_TENTH}"),
    ("UNLOCKS_PER_DAY", "300", f"{_UNLOCKS} in a day (UTC); further phones are refused (`network_used_up`). {_TENTH}"),
    ("RESERVATIONS_BURST", "5", f"{_RESERVATIONS} at once; further phones are asked to wait (`network_busy`)."),
    ("RESERVATIONS_PER_HOUR", "30", f"{_RESERVATIONS} in an hour, after the burst."),
    ("RESERVATIONS_PER_DAY", "100", f"{_RESERVATIONS} in a day (UTC); further ones are refused (`network_used_up`)."),
):
    _declare(f"NETWORK_{_name}", Whole(0, 1_000_000_000), _default, "devices", f"{_help} {_UNLIMITED}")
_declare(
    "NETWORK_NEW_INSTALLATIONS_NORM",
    Whole(1, 1_000_000),
    "10",
    "unlocks",
    "Raise an alarm when installations under ten minutes old make more unlocks of one campaign from one network in a clock hour.",
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
