"""Practice codes: each produces one answer of the till. None passes the check character, so none is ever a coupon's."""

from typing import NamedTuple


class PracticeCode(NamedTuple):
    """A practice code, and the answer it produces."""

    code: str
    outcome: str


PRACTICE_CODES = (
    PracticeCode("TRAIN-GIVE", "new"),
    PracticeCode("TRAIN-THREE", "units"),
    PracticeCode("TRAIN-AGAIN", "replay"),
    PracticeCode("TRAIN-LATER", "accepted_offline"),
    PracticeCode("TRAIN-PRICE", "needs_amount"),
    PracticeCode("TRAIN-USED", "already_redeemed"),
    PracticeCode("TRAIN-ENDED", "coupon_expired"),
    PracticeCode("TRAIN-EARLY", "not_yet_valid"),
    PracticeCode("TRAIN-HOURS", "outside_hours"),
    PracticeCode("TRAIN-BACK", "recalled"),
    PracticeCode("TRAIN-SHOP", "wrong_store"),
    PracticeCode("TRAIN-PHOTO", "screenshot"),
    PracticeCode("TRAIN-HERE", "presence_required"),
    PracticeCode("TRAIN-FULL", "redeem_cap_reached"),
    PracticeCode("TRAIN-TYPO", "code_malformed"),
    PracticeCode("TRAIN-OTHER", "code_unknown"),
)
