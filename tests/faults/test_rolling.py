"""A new release is installed under load and rolled back: no client notices."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from tests.faults.conftest import times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, open_till, register, unlock_coupons
from tests.faults.releases import NEXT, THIS, Keeper, last_migration, manage
from tests.faults.stage import Stage


def make_crowd(stage: Stage, history: History, *, steps: int) -> Crowd:
    """Phones and tills, half of them on connections that they keep."""
    return Crowd(
        stage,
        history,
        make_walkers(100, steps=steps),
        steps,
        shoppers=register(1000),
        till=open_till(stage),
        coupons=unlock_coupons(stage, times(200, 2000)),
        fresh_threads=2,
        pause_s=0.02,
        redeem_pause_s=0.05,
    )


@contextmanager
def web_of_the_keeper(stage: Stage, folder: Path) -> Iterator[Keeper]:
    """The keeper's web process in place of the stack's."""
    stage.stack.kill("web")
    with Keeper(stage, folder) as keeper:
        yield keeper


def put_in_place(stage: Stage, keeper: Keeper, release: str) -> None:
    """Change web, worker and beat to a release, one after the other."""
    keeper.install(release)
    keeper.replace()
    stage.stack.env = {**stage.stack.env, "DJANGO_SETTINGS_MODULE": release}
    stage.stack.replace("worker")
    stage.stack.replace("beat")


def test_an_upgrade_and_the_way_back_are_not_noticed(
    stage: Stage, history: History, report: Callable[..., None], tmp_path: Path
) -> None:
    rounds = times(1, 5)
    crowd = make_crowd(stage, history, steps=times(400, 4000))

    with web_of_the_keeper(stage, tmp_path) as keeper:
        began = time.monotonic()
        with crowd.running():
            for _ in range(rounds):
                manage(stage.stack.env, NEXT, "migrate", "--verbosity", "0")
                # A process of this release that has to start again on the expanded schema.
                if rounds > 1:
                    put_in_place(stage, keeper, THIS)
                put_in_place(stage, keeper, NEXT)
                put_in_place(stage, keeper, THIS)
                manage(stage.stack.env, NEXT, "migrate", "promotions", last_migration(), "--verbosity", "0")
            time.sleep(1)
        took_s = time.monotonic() - began

    samples = [sample for kind in crowd.samples.values() for sample in kind]
    report(
        rounds=rounds,
        seconds=round(took_s),
        requests=len(samples),
        redemptions=len(crowd.samples["till"]),
        slowest_s=round(max(sample.took_s for sample in samples), 2),
        **require_clean(stage, history),
    )
    assert {sample.status for sample in samples} <= {201, 202}
    # Not even a client that asks again by itself had to.
    assert {sample.tries for sample in samples} == {1}


def test_a_release_that_does_not_start_leaves_the_one_before_in_place(stage: Stage, tmp_path: Path) -> None:
    with web_of_the_keeper(stage, tmp_path) as keeper:
        # Its migrations are missing: it refuses to start on a database that is behind.
        keeper.install(NEXT)
        code, output = keeper.try_to_replace()

        assert code == 1
        assert "ended with code 1 before it was ready" in output
        assert "run `manage.py migrate`" in keeper.log.read_text(encoding="utf-8")
        stage.stack.wait_until_ready()
        till = open_till(stage)

    assert till
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations WHERE name LIKE '9%'")
        assert cursor.fetchone() == (0,)
