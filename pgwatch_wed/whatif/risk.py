"""Plans that look cheap and may be slow: their cost with a penalty for what they bet on."""

from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Plan, Query


class Judge:
    """Values plans; a risky one is worth less than its cost says."""

    def __init__(self, catalog: Catalog, *, is_on: bool) -> None:
        self._catalog = catalog
        self._is_on = is_on
        self._base: dict[str, Plan] = {}

    def begin(self, query: Query, plan: Plan) -> None:
        """Remember the plan without candidates, which others are compared with."""
        self._base[query.name] = plan

    def __call__(self, query: Query, plan: Plan) -> float:
        """Return the cost that the search shall reckon with."""
        return plan.cost
