"""The history and the database side by side, once nothing is under way any more."""

from tests.faults.history import History, Verdict, judge_once, judge_walks, read_ledger
from tests.faults.stage import Stage, read_effects, read_opportunities


def compare(stage: Stage, history: History) -> Verdict:
    """Everything the walks and the shoppers were promised against what is there."""
    stage.drain()
    walks, shops = read_ledger(history.path, "walk"), read_ledger(history.path, "shop")
    effects, last_fix_ms = read_effects(set(walks.invoked))
    verdict = judge_walks(walks, effects, last_fix_ms)
    shopped = [one for one in read_opportunities(stage.world.campaign) if one[0] in shops.invoked]
    return verdict + judge_once(shops, shopped) + judge_messages(stage, history)
