"""One plan: findings become ordered actions, each of which changes one object once.

:func:`action_plan` turns the ranked findings of a report, whose remedies may repeat or contradict each other, into
an :class:`~pgwatch_wed.findings.ActionPlan`; :func:`pgwatch_wed.analyse.analyse` stores it as ``Report.plan``. Remedies are understood by
PostgreSQL's own parser, never by their words.

To write a script, run the ``statements`` of ``plan.actions`` in order, except for those with ``by_hand``; those that
are not ``in_transaction`` outside of a block, and each in the action's ``database``. To take it back, run the ``undo`` of the actions that
were run, the last action first. Actions of the stage ``restart`` take effect with the one restart that follows them.
"""

from pgwatch_wed.remedies.actions.planned_actions import action_plan

__all__ = ["action_plan"]
