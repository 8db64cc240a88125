"""Copy the holder of each coupon from its unlock."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import migrations

BATCH_ROWS = 1_000
# Rows that others keep locked are left for the next pass.
PAUSE_BETWEEN_PASSES_S = 0.5

# It waits for no lock, so it cannot deadlock with a recall or an erasure of many coupons.
FILL_BATCH = """
WITH batch AS (
    SELECT id, unlock_id FROM promotions_coupon WHERE id > %s AND device_id IS NULL ORDER BY id LIMIT %s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE promotions_coupon coupon SET device_id = unlocked.device_id
FROM batch JOIN promotions_unlock unlocked ON unlocked.id = batch.unlock_id
WHERE coupon.id = batch.id
RETURNING coupon.id
"""


def fill_holders(apps: Any, editor: Any) -> None:
    """Fill batches, each a transaction of its own, until every coupon has a holder."""
    while True:
        for _filled in fill_batches(editor.connection):
            pass
        with editor.connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM promotions_coupon WHERE device_id IS NULL)")
            if not cursor.fetchone()[0]:
                return
        time.sleep(PAUSE_BETWEEN_PASSES_S)


def fill_batches(connection: Any) -> Iterator[int]:
    """Pass once over the coupons in the order of their ids; yield how many each batch filled."""
    after = UUID(int=0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(FILL_BATCH, [after, BATCH_ROWS])
            filled = [row[0] for row in cursor.fetchall()]
        if not filled:
            return
        after = max(filled)
        yield len(filled)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("promotions", "0014_give_coupons_a_holder")]

    operations = [migrations.RunPython(fill_holders, migrations.RunPython.noop)]
