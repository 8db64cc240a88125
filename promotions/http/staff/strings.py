"""Texts of the till page's scripts. Those of the template are in the template; both are in one gettext catalogue.

The page fills in `{name}`. Translations: `locale/`, see CONTRIBUTING.md.
"""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

STRINGS: Mapping[str, Promise] = {
    "app_name": _("Doorstep till"),
    # Connection and queue
    "online": _("Online"),
    "offline": _("Offline"),
    "nothing_waits": _("Nothing waiting"),
    "waiting": _("{count} waiting, oldest {age}"),
    "age_seconds": _("{count} s"),
    "age_minutes": _("{count} min"),
    "age_hours": _("{count} h"),
    "went_offline": _("Offline. This device checks coupons and sends its scans later."),
    "went_offline_blind": _("Offline. Coupons cannot be checked until the connection is back."),
    "no_local_check": _("This browser cannot check coupons offline."),
    "back_online": _("Online again."),
    "sent": _("Online again. {count} sent and confirmed."),
    # Enrolment
    "enrol_refused": _("This enrolment is unknown, used or expired. Ask your manager for a new one."),
    "enrol_waits": _("Not set up: some scans are still waiting to be sent. Open the link again when none is waiting."),
    "device_off": _("This device was switched off. Ask your manager to set it up again."),
    # Sign-in
    "pin_wrong": _("Wrong initials or PIN. Attempts left: {tries}"),
    "pin_wrong_plain": _("Wrong initials or PIN."),
    "pin_locked": _("Too many wrong PINs. Ask a manager for a new one."),
    "pin_offline": _("You cannot sign in offline."),
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
    "again_detail": _("You recorded this at {when}: {benefit}"),
    "units": _("{unit} of {units}"),
    "later": _("GIVE"),
    "later_detail": _("Will be checked later."),
    "amount_wrong": _("Enter an amount such as 12.50."),
    "used": _("USED"),
    "used_here": _("Used {when}, on this till"),
    "used_store": _("Used {when}, in this store"),
    "used_elsewhere": _("Used {when}, in {store}"),
    "used_waiting": _("Used {when}, on this till. It is waiting to be sent."),
    "refused": _("NO"),
    "presence": _("CUSTOMER HERE?"),
    "presence_required": _("Ask the customer to open the app here."),
    "presence_vouch": _("Ask the customer to open the app here, or confirm that you see them."),
    "reopen": _("OLD PICTURE"),
    "screenshot": _("Ask the customer to reopen the coupon in the app, and scan again."),
    "unsure": _("NOT YET"),
    "no_answer": _("The server does not answer. Give nothing yet. It is safe to try again."),
    "not_offline": _("This cannot be checked offline. Give nothing yet. It is safe to try again."),
    "typed_offline": _("A typed code cannot be checked offline. Scan the QR."),
    "allowance_spent": _("This till has reached its offline allowance. Give nothing yet."),
    "keys_too_old": _("This till has been offline for too long to check coupons. Give nothing yet."),
    "device": _("THIS DEVICE"),
    "profile_forbidden": _("This device shows the store’s code. It does not accept coupons."),
    "clock_wrong": _("The clock of this device is wrong. Set date and time to automatic, then try again."),
    "malformed_length": _("A code has 11 characters, this one has {length}."),
    "malformed_character": _("No code has this character at position {positions}."),
    "malformed_check": _("Typing error: compare every character with the customer’s screen."),
    "code_unknown": _("Unknown code. Ask the customer to open the coupon in the app."),
    "coupon_expired": _("Expired {when}"),
    "not_yet_valid": _("Valid from {when}"),
    "outside_hours": _("Not valid at this time. Next: {when} to {until}"),
    "outside_hours_over": _("Not valid at this time, and not again before it expires"),
    "recalled": _("Recalled {when}. Give nothing."),
    "wrong_store": _("Not valid here. Valid in: {stores}"),
    "redeem_cap_store": _("This offer is used up in this store."),
    "redeem_cap_campaign": _("This offer is used up in every store."),
    "already_voided": _("This scan was undone. Scan the coupon again."),
    "revoked": _("This coupon is used up or no longer valid."),
    "rate_limited": _("Too many wrong codes. Wait {seconds} s."),
    "training_code": _("This is a practice code. It works in training only."),
    "unexpected": _("The server refused: {detail}"),
    "today": _("today {time}"),
    "yesterday": _("yesterday {time}"),
    "tomorrow": _("tomorrow {time}"),
    # Training
    "training_start": _("Training"),
    "training_stop": _("End training"),
    "training_word": _("TRAINING"),
    "training_real": _("Training does not accept real coupons. End training first."),
    "training_unknown": _("Not a practice code. Choose one below."),
    "training_benefit": _("1 free coffee"),
    "training_store": _("Example Street"),
    # Last scans
    "waits": _("Waiting"),
    "undo": _("Undo"),
    "undone": _("Undone"),
    "undo_title": _("Undo: {benefit}"),
    "void_too_late": _("Too late to undo on this device. Ask the store manager."),
    "undo_failed": _("Not undone: the server does not answer."),
    # Offline scans that were not accepted
    "conflict": _("{benefit}, {when}: redeemed at another till {before}, in {store}. You could not know."),
    "conflict_plain": _("{benefit}, {when}: redeemed at another till. You could not know."),
    "out_of_policy": _("{benefit}, {when}: not accepted ({reason})."),
    "why_unknown": _("the code is unknown"),
    "why_ended": _("the coupon was not valid"),
    "why_recalled": _("the coupon was recalled"),
    "why_clock": _("the clock of this device was wrong"),
    "why_late": _("it was sent too late"),
    "why_store": _("not valid in this store"),
    "why_offline": _("this offer is not valid offline"),
    "why_picture": _("the code was an old picture"),
    "why_amount": _("the amount was missing"),
    "why_allowance": _("more than this till may give offline"),
    "why_other": _("the server could not read it"),
    # The shift
    "shift_when": _("Today on this till, until {time}"),
    "shift_offline": _("Offline: the figures of this till are not available."),
}


def strings_for_scripts() -> dict[str, str]:
    """Return the texts in the active language, for `json_script`."""
    return {name: str(text) for name, text in STRINGS.items()}
