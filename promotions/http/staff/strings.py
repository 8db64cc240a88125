"""Texts of the till page's scripts. Its template has its own texts; both are in one gettext catalogue.

`{name}` is filled in by the page. French and every further language: `locale/`, see CONTRIBUTING.md.
"""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

STRINGS: Mapping[str, Promise] = {
    "app_name": _("Doorstep till"),
    # Connection and what waits to be sent
    "online": _("Online"),
    "offline": _("No connection"),
    "nothing_waits": _("Nothing waiting"),
    "waiting": _("{count} waiting, oldest {age}"),
    "age_seconds": _("{count} s"),
    "age_minutes": _("{count} min"),
    "age_hours": _("{count} h"),
    "went_offline": _("No connection. Coupons are checked on this device and sent later."),
    "went_offline_blind": _("No connection. Coupons cannot be checked until it is back."),
    "no_local_check": _("This browser cannot check a coupon without a connection."),
    "back_online": _("Connected again."),
    "sent": _("Connected again. {count} sent and confirmed."),
    # Enrolment
    "enrol_refused": _("This enrolment is unknown, used or too old. Ask your manager for a new one."),
    "enrol_waits": _("Not set up anew: scans wait to be sent. Once nothing waits, open the link again."),
    "device_off": _("This device was switched off. Ask your manager to set it up again."),
    # Sign-in
    "pin_wrong": _("Wrong initials or PIN. Tries left: {tries}"),
    "pin_wrong_plain": _("Wrong initials or PIN."),
    "pin_locked": _("Too many wrong PINs. A manager gives you a new one."),
    "pin_offline": _("Signing in needs the connection."),
    # Scanning
    "camera_start": _("Scan the QR"),
    "camera_stop": _("Stop the camera"),
    "camera_missing": _("This browser cannot read QR codes. Type the code below the customer’s QR."),
    "camera_denied": _("The camera is not allowed. Allow it in the browser’s settings, or type the code."),
    "camera_broken": _("No camera was found. Type the code below the customer’s QR."),
    "submit": _("Redeem"),
    "checking": _("Checking…"),
    # Answers: one word, one sentence
    "give": _("GIVE"),
    "again": _("GIVE ONCE"),
    "again_detail": _("Already recorded by you at {when}: {benefit}"),
    "units": _("{unit} of {units}"),
    "later": _("GIVE"),
    "later_detail": _("Will be checked later."),
    "amount_wrong": _("Give an amount such as 12.50."),
    "used": _("USED"),
    "used_here": _("Used {when}, on this till"),
    "used_store": _("Used {when}, in this store"),
    "used_elsewhere": _("Used {when}, in {store}"),
    "used_waiting": _("Used {when}, on this till. It is waiting to be sent."),
    "refused": _("NO"),
    "presence": _("CUSTOMER HERE?"),
    "presence_required": _("Ask the customer to open the app here."),
    "presence_vouch": _("Ask the customer to open the app here. Or say that you see them."),
    "reopen": _("OLD PICTURE"),
    "screenshot": _("Ask the customer to reopen the coupon in the app, and scan again."),
    "unsure": _("NOT YET"),
    "no_answer": _("No answer from the server. Give nothing yet; trying again is safe."),
    "not_without_network": _("This cannot be checked without a connection. Give nothing yet; trying again is safe."),
    "typed_offline": _("A typed code cannot be checked without a connection. Scan the QR."),
    "allowance_spent": _("This till has given all it may without a connection. Give nothing yet."),
    "keys_too_old": _("This till was without a connection for too long to check coupons. Give nothing yet."),
    "device": _("THIS DEVICE"),
    "profile_forbidden": _("This device shows the store’s code. It takes no coupons."),
    "clock_wrong": _("The clock of this device is wrong. Set date and time to automatic, then try again."),
    "malformed_length": _("A code has 11 characters, this one has {length}."),
    "malformed_character": _("No code has such a character at position {positions}."),
    "malformed_check": _("Typing error: compare every character with the customer’s screen."),
    "code_unknown": _("Not one of ours. Ask the customer to open the coupon in the app."),
    "coupon_expired": _("Ended {when}"),
    "not_yet_valid": _("Valid from {when}"),
    "outside_hours": _("Not at this hour. Next: {when} to {until}"),
    "outside_hours_over": _("Not at this hour, and not again before it ends"),
    "recalled": _("Withdrawn {when}. Give nothing."),
    "wrong_store": _("Not valid here. Valid in: {stores}"),
    "redeem_cap_store": _("This store has given all of this offer."),
    "redeem_cap_campaign": _("All of this offer have been given, in every store."),
    "already_voided": _("This scan was taken back. Scan the coupon again."),
    "revoked": _("This coupon was used up or withdrawn."),
    "rate_limited": _("Too many wrong codes. Wait {seconds} s."),
    "training_code": _("A practice code. It works in training only."),
    "unexpected": _("The server refused: {detail}"),
    "today": _("today {time}"),
    "yesterday": _("yesterday {time}"),
    "tomorrow": _("tomorrow {time}"),
    # Training
    "training_start": _("Training"),
    "training_stop": _("End training"),
    "training_word": _("TRAINING"),
    "training_real": _("A real coupon is not taken in training. End training first."),
    "training_unknown": _("Not a practice code. Choose one below."),
    "training_benefit": _("1 free coffee"),
    "training_store": _("Example Street"),
    # Last scans
    "waits": _("Waiting"),
    "undo": _("Undo"),
    "undone": _("Undone"),
    "undo_title": _("Undo: {benefit}"),
    "void_too_late": _("Too late to undo on this device. Ask the store manager."),
    "undo_failed": _("Not undone: no answer from the server."),
    # Results of offline scans
    "conflict": _("{benefit}, {when}: another till took it {before}, in {store}. You could not know."),
    "conflict_plain": _("{benefit}, {when}: another till took it. You could not know."),
    "out_of_policy": _("{benefit}, {when}: not accepted ({reason})."),
    "why_unknown": _("not one of ours"),
    "why_ended": _("the coupon was not valid"),
    "why_recalled": _("the coupon was withdrawn"),
    "why_clock": _("the clock of this device was wrong"),
    "why_late": _("it was sent too late"),
    "why_store": _("not valid in this store"),
    "why_offline": _("this offer needs the connection"),
    "why_picture": _("the code was an old picture"),
    "why_amount": _("the amount was missing"),
    "why_allowance": _("more than this till may give without a connection"),
    "why_other": _("the server could not read it"),
    # The shift
    "shift_when": _("Today on this till, until {time}"),
    "shift_offline": _("No connection: the figures of this till cannot be had now."),
}


def strings_for_scripts() -> dict[str, str]:
    """The words in the language in force, for `json_script`."""
    return {name: str(text) for name, text in STRINGS.items()}
