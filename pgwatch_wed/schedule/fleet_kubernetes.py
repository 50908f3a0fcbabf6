"""A fleet's run for Kubernetes: an Indexed Job with a pod a shard, or workers of a queue."""

import shlex
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.schedule.fleet_plan import FleetPlan
from pgwatch_wed.schedule.kubernetes import container_of, yaml_of

_NAME = "db-analyze-fleet"
_MOUNT = "/etc/db-analyze"


def fleet_manifests(plan: FleetPlan) -> str:
    """Return a YAML stream for kubectl apply; the inventory and the place of the history are a secret."""
    image = plan.image or f"pgwatch-wed:{__version__}"
    head = [
        "# Written by db-analyze fleet schedule --print k8s, for kubectl apply -f. It expects:",
        f"# - the image {image} (--image), which docker build --file tools/Containerfile makes in a checkout;",
        f"# - a secret {_NAME} with pgwatch_wed.toml, which names a history on PostgreSQL and, as [fleet] inventory, the",
        "#   other files in it:",
        f"#     kubectl create secret generic {_NAME} --from-file=pgwatch_wed.toml --from-file=fleet.toml",
        "# Reports are read from the history: db-analyze fleet report --history URL.",
        *(
            []
            if plan.zone
            else [
                "# Times are in the zone of the controller, usually UTC; --time-zone sets another."
            ]
        ),
    ]
    documents = _queue(plan, image) if plan.has_queue else [_shards(plan, image)]
    return "\n".join(head) + "\n" + "".join(f"---\n{yaml_of(d)}" for d in documents)


def _shards(plan: FleetPlan, image: str) -> dict[str, Any]:
    config = ("--config", f"{_MOUNT}/pgwatch_wed.toml", "--format", "text", "--quiet")
    # a pod that takes the place of another one goes on with its part of the same run
    words = ["db-analyze", "fleet", "run", *config, "--resume"]
    command = words
    if plan.machines > 1:
        shard = f'--shard "$((JOB_COMPLETION_INDEX + 1))/{plan.machines}"'
        command = ["sh", "-c", f"exec {shlex.join(words)} {shard}"]
    indexed = {
        "completionMode": "Indexed",
        "completions": plan.machines,
        "parallelism": plan.machines,
        # requires Kubernetes 1.29
        "backoffLimitPerIndex": 2,
        "maxFailedIndexes": plan.machines,
        **_never_again("FailIndex"),
    }
    return _cron_job(plan, _NAME, indexed, _pod(command, image, "Never"))


def _queue(plan: FleetPlan, image: str) -> list[dict[str, Any]]:
    config = ["--config", f"{_MOUNT}/pgwatch_wed.toml"]
    enqueue = _pod(["db-analyze", "fleet", "enqueue", *config], image, "Never")
    labels = {"app": f"{_NAME}-worker"}
    worker = _pod(["db-analyze", "fleet", "worker", *config], image, "Always")
    workers = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{_NAME}-worker", "labels": labels},
        "spec": {
            "replicas": plan.machines,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                # it finishes its visits when it is told to stop
                "spec": {"terminationGracePeriodSeconds": 600, **worker},
            },
        },
    }
    return [
        _cron_job(
            plan, f"{_NAME}-enqueue", {"backoffLimit": 2, **_never_again("FailJob")}, enqueue
        ),
        workers,
    ]


def _never_again(action: str) -> dict[str, Any]:
    # 2: a part of the inventory is wrong. The rest has been visited, and would be again, by a pod that is no better off.
    codes = {"operator": "In", "values": [2]}
    return {"podFailurePolicy": {"rules": [{"action": action, "onExitCodes": codes}]}}


def _cron_job(
    plan: FleetPlan, name: str, job: dict[str, Any], pod: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": plan.at.cron,
            **({"timeZone": plan.zone} if plan.zone else {}),
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {**job, "activeDeadlineSeconds": 43200, "template": {"spec": pod}}
            },
        },
    }


def _pod(command: list[str], image: str, restart: str) -> dict[str, Any]:
    # Kubernetes replaces $(NAME)
    words = [word.replace("$(", "$$(") for word in command]
    home = [{"name": "HOME", "value": "/tmp"}]  # noqa: S108 - an empty volume of the pod
    mounts: list[dict[str, Any]] = [
        {"name": "config", "mountPath": _MOUNT, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - likewise
    ]
    return {
        "restartPolicy": restart,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": [container_of(image, words, home, mounts)],
        "volumes": [
            {"name": "config", "secret": {"secretName": _NAME}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
