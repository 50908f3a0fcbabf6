"""An action of the plan in words: gain, locks, who may run it."""

from pgwatch_wed import units
from pgwatch_wed.findings import Action, ActionGain, ActionPlan, Finding, Report


def gain(saved: ActionGain) -> str:
    """Say what an action or the plan saves; nothing if that is not known."""
    parts = []
    share = (
        f"{units.share(saved.share_of_load)} of the measured load" if saved.share_of_load else ""
    )
    if saved.ms_per_day is not None and saved.ms_per_day > 0:
        parts.append(f"saves about {units.duration(saved.ms_per_day)} per day")
        parts += [share] if share else []
    elif share:
        parts.append(f"saves about {share}")
    if saved.bytes:
        verb = "frees" if saved.bytes > 0 else "takes"
        parts.append(f"{verb} {units.size(abs(saved.bytes))}")
    return ", ".join(parts)


def summary(plan: ActionPlan) -> str:
    """Say in one sentence how much there is to do, and what it is good for."""
    if not plan.actions:
        return "There is nothing to do."
    closed = {finding for action in plan.actions for finding in action.closes}
    verb = "closes" if len(plan.actions) == 1 else "close"
    said = (
        f"{units.count(len(plan.actions), 'action')} {verb} {units.count(len(closed), 'finding')}"
    )
    return f"{'; '.join(filter(None, (said, gain(plan.gain))))}."


def closes(action: Action, report: Report) -> str:
    """Name the findings that an action closes."""
    known = {f.id: f for f in (*report.findings, *report.hidden)}
    names = [_named(known[each]) for each in action.closes if each in known]
    return ", ".join(dict.fromkeys(names))


def _named(finding: Finding) -> str:
    return f"{finding.rule} {finding.object.label}"


def locks(action: Action) -> str:
    """Say which locks an action takes, in order."""
    return "; then ".join(dict.fromkeys(s.lock for s in action.statements if s.lock)) or "none"


def who(action: Action) -> str:
    """Say who may run an action: by name if the role that analyzed may not."""
    named = list(dict.fromkeys(s.run_as for s in action.statements if s.run_as))
    if named:
        return "; and ".join(named)
    needs = dict.fromkeys(n for s in action.statements for n in s.needs.split(", ") if n)
    return f"any role with: {', '.join(needs)}" if needs else ""
