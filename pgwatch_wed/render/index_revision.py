"""The advised indexes as a revision for the user's own Alembic project."""

from collections.abc import Iterator

from pgwatch_wed import units
from pgwatch_wed.findings import Action, ActionStage, Object
from pgwatch_wed.render.alembic_source import alembic_revision, python_comment
from pgwatch_wed.whatif.choose.advise import Advice, IndexAdvice
from pgwatch_wed.whatif.readable import script_of


def index_revision(advice: Advice) -> str:
    """Return the file of a revision; what precedes it is for the user to fill in."""
    actions = [_action(each) for each in advice.indexes]
    return alembic_revision(
        "Create the indexes that db-analyze indexes recommends.", _about(advice), actions, None
    ).source


def _about(advice: Advice) -> Iterator[str]:
    yield "# Set down_revision to the revision that precedes this one in your project."
    for each in advice.indexes:
        yield python_comment(f"{each.name}: {units.size(each.size_bytes)}", "# - ")
        if each.run_as:
            yield python_comment(f"run as: {each.run_as}", "#   ")
        yield from (
            python_comment(f"then redundant (test first): {sql}", "#   ") for sql in each.drops
        )


def _action(advice: IndexAdvice) -> Action:
    script = script_of(advice)
    index = advice.index
    return Action(
        title=f"create {advice.name} on {index.schema}.{index.table}",
        stage=ActionStage.INDEXES,
        object=Object("table", index.table, schema=index.schema),
        closes=(),
        statements=(script.remedy,),
        undo=(script.undo_sql,),
    )
