"""The tasks as a workflow of GitHub Actions."""

import json
import shlex

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import SOURCE
from pgwatch_wed.schedule.tasks import Job, Timetable, head_notes, tasks

_FOLDER = "db-analysis-results"
SETUP = "actions/setup-python@ece7cb06caefa5fff74198d8649806c4678c61a1 # v6.3.0"
UPLOAD = "actions/upload-artifact@b7c566a772e6b6bfb58ed0dc250532a479d7789f # v6.0.0"


def workflow(plan: Timetable) -> str:
    """Return a workflow file; the target is a secret, and never appears in it."""
    if plan.zone not in ("", "UTC", "Etc/UTC"):
        raise UsageError("GitHub's schedules are in UTC", "omit --time-zone, and convert --at")
    # what remains on the runner is gone with it
    wanted = [task for task in tasks(plan) if task.is_own_run]
    retention = min(plan.keep_days, 90)
    return "\n".join(
        (
            "# Written by db-analyze schedule --print github, for .github/workflows/db-analyze-schedule.yml.",
            "# It expects the secret DATABASE_URL, the URI of a role with pg_monitor, and a runner that reaches the server.",
            "# Times are UTC. Schedules run on the default branch only, and pause after 60 days without activity",
            "# in a public repository.",
            *(f"# {line}" for line in head_notes(plan)),
            "name: db-analyze schedule",
            "",
            "on:",
            "  schedule:",
            *(f"    - cron: {json.dumps(t.at.cron)} # {t.purpose}" for t in wanted),
            "  workflow_dispatch:",
            "",
            "permissions:",
            "  contents: read",
            "",
            "concurrency:",
            "  group: db-analyze-${{ github.event.schedule }}",
            "  cancel-in-progress: false",
            "",
            "jobs:",
            "  analyze:",
            "    runs-on: ubuntu-latest",
            "    timeout-minutes: 120",
            "    env:",
            "      DATABASE_URL: ${{ secrets.DATABASE_URL }}",
            "      SCHEDULE: ${{ github.event.schedule }}",
            "    steps:",
            f"      - uses: {SETUP}",
            '        with: { python-version: "3.13" }',
            f"      - run: python -m pip install {SOURCE}",
            "      - name: Run the task of this time",
            "        run: |",
            '          case "$SCHEDULE" in',
            *(f"            {line}" for task in wanted for line in _case(plan, task)),
            "          esac",
            "      - name: Keep the reports",
            "        if: always()",
            f"        uses: {UPLOAD}",
            "        with:",
            "          name: db-analyze-${{ github.run_id }}",
            f"          path: {_FOLDER}/",
            f"          retention-days: {retention}",
            "          if-no-files-found: ignore",
            "",
        )
    )


def _case(plan: Timetable, task: Job) -> tuple[str, ...]:
    # a run by hand has no schedule: it is the whole analysis
    is_default = task.name == "monthly-report"
    pattern = f"{shlex.quote(task.at.cron)}" + ("|''" if is_default else "")
    return (f"{pattern}) {_command(plan, task)} ;;",)


def _command(plan: Timetable, task: Job) -> str:
    if task.program == "psql":
        return 'psql --no-psqlrc --quiet "$DATABASE_URL" -c "ANALYZE (SKIP_LOCKED)"'
    args = [w.replace(plan.output, _FOLDER) for w in task.args]
    if "--history" in args:
        place = args.index("--history")
        args[place : place + 2] = ["--no-history"]
    return shlex.join(["db-analyze", *args])
