"""A fleet's run as a workflow of GitHub Actions, with a job a shard."""

import json

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import SOURCE
from pgwatch_wed.schedule.fleet_plan import FleetPlan
from pgwatch_wed.schedule.github import SETUP, UPLOAD

_FOLDER = "db-analysis-results"
_SHARD = "${{ matrix.shard }}"


def fleet_workflow(plan: FleetPlan) -> str:
    """Return a workflow file; configuration and inventory are secrets, and never appear in it."""
    if plan.zone not in ("", "UTC", "Etc/UTC"):
        raise UsageError("GitHub's schedules are in UTC", "omit --time-zone, and convert --at")
    if plan.has_queue:
        raise UsageError(
            "GitHub's runners are no workers of a queue", "use --machines N for N shards"
        )
    shards = json.dumps(list(range(1, plan.machines + 1)))
    return "\n".join(
        (
            "# Written by db-analyze fleet schedule --print github, for .github/workflows/db-analyze-fleet.yml.",
            "# It expects two secrets: FLEET_CONFIG, a pgwatch_wed.toml that names a history on PostgreSQL and, as [fleet]",
            "# inventory, fleet.toml; and FLEET_INVENTORY, that fleet.toml. The runners must reach all of them.",
            "# Times are UTC. Schedules run on the default branch only, and pause after 60 days without activity",
            "# in a public repository.",
            "name: db-analyze fleet",
            "",
            "on:",
            "  schedule:",
            f"    - cron: {json.dumps(plan.at.cron)}",
            "  workflow_dispatch:",
            "",
            "permissions:",
            "  contents: read",
            "",
            "concurrency:",
            "  group: db-analyze-fleet",
            "  cancel-in-progress: false",
            "",
            "jobs:",
            "  fleet:",
            "    runs-on: ubuntu-latest",
            "    timeout-minutes: 350",
            "    strategy:",
            "      fail-fast: false",
            "      matrix:",
            f"        shard: {shards}",
            "    steps:",
            f"      - uses: {SETUP}",
            '        with: { python-version: "3.13" }',
            f"      - run: python -m pip install {SOURCE}",
            "      - name: Visit a part of the fleet; the last one reviews it",
            "        env:",
            "          FLEET_CONFIG: ${{ secrets.FLEET_CONFIG }}",
            "          FLEET_INVENTORY: ${{ secrets.FLEET_INVENTORY }}",
            "        run: |",
            "          umask 077",
            "          printf '%s\\n' \"$FLEET_CONFIG\" > pgwatch_wed.toml",
            "          printf '%s\\n' \"$FLEET_INVENTORY\" > fleet.toml",
            f"          db-analyze fleet run --resume --shard {_SHARD}/{plan.machines} --quiet --output {_FOLDER}",
            "      - name: Keep the reports",
            "        if: always()",
            f"        uses: {UPLOAD}",
            "        with:",
            "          name: db-analyze-fleet-${{ github.run_id }}-${{ matrix.shard }}",
            f"          path: {_FOLDER}/",
            "          if-no-files-found: ignore",
            "",
        )
    )
