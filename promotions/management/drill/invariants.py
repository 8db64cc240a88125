"""Conditions that the product's rows must meet. Each query counts the rows that break one."""

from collections.abc import Iterator, Mapping
from typing import Any

from promotions.management.drill.lines import Database, Line
from promotions.services.mechanics import list_mechanics

# Counters may be higher than the rows beside them: erasure and retention delete rows, and a use stays used.
_INVARIANTS: Mapping[str, str] = {
    "no unit of a coupon is taken twice": """
        SELECT count(*) FROM (SELECT FROM promotions_redemption WHERE is_live
            GROUP BY coupon_id, unit HAVING count(*) > 1) AS twice""",
    "no coupon is taken more often than it is good for": """
        SELECT count(*) FROM promotions_redemption r JOIN promotions_coupon c ON c.id = r.coupon_id
        WHERE r.unit > c.units""",
    "a redemption is live or was voided": """
        SELECT count(*) FROM promotions_redemption r LEFT JOIN promotions_void v ON v.redemption_id = r.id
        WHERE r.is_live = (v.id IS NOT NULL)""",
    "unlocks counted against a cap cover those given": """
        SELECT count(*) FROM (SELECT campaign_id, sum(used) AS used FROM promotions_budget WHERE scope = 'unlock'
            GROUP BY campaign_id) b
        WHERE b.used < (SELECT count(*) FROM promotions_unlock u WHERE u.campaign_id = b.campaign_id)
            + (SELECT count(*) FROM promotions_reservation r WHERE r.campaign_id = b.campaign_id)""",
    "uses counted against a cap cover those taken": """
        SELECT count(*) FROM (SELECT campaign_id, store_id, sum(used) AS used FROM promotions_budget
            WHERE scope = 'redeem' GROUP BY campaign_id, store_id) b
        WHERE b.used < (SELECT count(*) FROM promotions_redemption r JOIN promotions_coupon c ON c.id = r.coupon_id
            WHERE c.campaign_id = b.campaign_id AND r.is_live AND (b.store_id IS NULL OR r.store_id = b.store_id))""",
    "no cap is exceeded": "SELECT count(*) FROM promotions_budget WHERE used > cap OR used < 0",
    "the holder of an unlocked coupon is the device that unlocked it": """
        SELECT count(*) FROM promotions_coupon c JOIN promotions_unlock u ON u.id = c.unlock_id
        WHERE c.device_id <> u.device_id""",
    "every stream has a cursor that can be read": """
        SELECT count(*) FROM promotions_shardcursor WHERE last_entry_id !~ '^[0-9]+-[0-9]+$'""",
}


def list_invariants() -> Mapping[str, str]:
    """Return all invariants, also those of the mechanics."""
    found = {**_INVARIANTS, "every unlocked coupon is there": _missing_coupons()}
    for mechanic in list_mechanics():
        found |= mechanic.invariants
    return found


def _missing_coupons() -> str:
    """Return the query that counts unlocks without the coupon that their outcome comes with."""
    with_coupon = [
        f"('{mechanic.kind}', '{outcome.value}')"
        for mechanic in list_mechanics()
        for outcome in mechanic.outcomes
        if outcome.has_coupon
    ]
    return f"""
        SELECT count(*) FROM promotions_unlock u JOIN promotions_campaign k ON k.id = u.campaign_id
            LEFT JOIN promotions_coupon c ON c.unlock_id = u.id
        WHERE (k.kind, u.outcome) IN ({", ".join(with_coupon)}) AND c.id IS NULL"""


def count_breaches(database: Database) -> dict[str, int]:
    """Return for each invariant how many rows break it."""
    return {what: int(_one(database, query)) for what, query in list_invariants().items()}


def evaluate_breaches(copy: Mapping[str, int], source: Mapping[str, int] | None) -> Iterator[Line]:
    """Yield a line per invariant. A violation in the source too is no fault of the backup, and is shown."""
    for what, count in copy.items():
        known = source[what] if source is not None else 0
        detail = "0 exceptions" if count == 0 else f"{count:,} exceptions, in the source {known:,}"
        yield Line(what, count == known, detail if source is not None or count == 0 else f"{count:,} exceptions")


def _one(database: Database, query: str) -> Any:
    row = database.execute(query.encode()).fetchone()
    assert row is not None  # an aggregate always has one
    return row[0]
