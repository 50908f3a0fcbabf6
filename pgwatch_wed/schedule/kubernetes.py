"""The tasks as Kubernetes CronJobs, with a volume for the reports."""

import json
import re
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.schedule.tasks import Job, Timetable, head_notes, tasks

_FOLDER = "/reports"
_NAME = "db-analyze"


def cron_jobs(plan: Timetable) -> str:
    """Return a YAML stream for kubectl apply."""
    image = plan.image or f"pgwatch-wed:{__version__}"
    head = [
        "# Written by db-analyze schedule --print k8s, for kubectl apply -f. It expects:",
        f"# - the image {image} (--image), which docker build --file tools/Containerfile makes in a checkout;",
        f"# - a secret {_NAME} with the key DATABASE_URL, the URI of a role with pg_monitor:",
        f"#     kubectl create secret generic {_NAME} --from-file=DATABASE_URL=FILE",
        *_times(plan),
        *(f"# {line}" for line in head_notes(plan)),
    ]
    documents = [_claim(), *(_job(plan, task, image) for task in tasks(plan))]
    return "\n".join(head) + "\n" + "".join(f"---\n{yaml_of(d)}" for d in documents)


def _times(plan: Timetable) -> list[str]:
    if plan.zone:
        return ["# timeZone requires Kubernetes 1.27."]
    return ["# Times are in the zone of the controller, usually UTC; --time-zone sets another."]


def _claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "db-analyze"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
        },
    }


def _job(plan: Timetable, task: Job, image: str) -> dict[str, Any]:
    zone = {"timeZone": plan.zone} if plan.zone else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": f"db-analyze-{task.name}"},
        "spec": {
            "schedule": task.at.cron,
            **zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    # findings are an exit status of 1: running again would only repeat them
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": 7200,
                    "template": {"spec": _pod(plan, task, image)},
                }
            },
        },
    }


def _pod(plan: Timetable, task: Job, image: str) -> dict[str, Any]:
    secret = {"secretKeyRef": {"name": _NAME, "key": "DATABASE_URL"}}
    env: list[dict[str, Any]] = [
        {"name": "DATABASE_URL", "valueFrom": secret},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an empty volume of the pod
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "reports", "mountPath": _FOLDER},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an empty volume of the pod
    ]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": [container_of(image, _command(plan, task), env, mounts)],
        "volumes": [
            {"name": "reports", "persistentVolumeClaim": {"claimName": "db-analyze"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def container_of(
    image: str, command: list[str], env: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a container that may do nothing but run a command."""
    return {
        "name": "db-analyze",
        "image": image,
        "command": command,
        "env": env,
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "2Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _command(plan: Timetable, task: Job) -> list[str]:
    words = [task.program or "db-analyze", *task.args]
    if task.program == "psql":
        words = ["sh", "-c", 'psql --no-psqlrc --quiet "$DATABASE_URL" -c "ANALYZE (SKIP_LOCKED)"']
    # Kubernetes replaces $(NAME)
    return [w.replace(plan.output, _FOLDER).replace("$(", "$$(") for w in words]


_PLAIN = re.compile(r"[A-Za-z][\w./-]*\Z")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_of(value: Any, indent: int = 0) -> str:
    """Write plain data as YAML; every JSON string is one of YAML, too."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{_below(item, indent)}" for key, item in value.items())
    if isinstance(value, list) and value and not all(isinstance(v, str | int) for v in value):
        return "".join(f"{pad}- {yaml_of(item, indent + 1).lstrip()}" for item in value)
    return f"{pad}{_scalar(value)}\n"


def _below(item: Any, indent: int) -> str:
    text = yaml_of(item, indent + 1)
    is_block = isinstance(item, dict | list) and bool(item) and "\n" in text.rstrip("\n")
    is_block = is_block or (isinstance(item, dict) and bool(item))
    return f"\n{text}" if is_block else f" {text.strip()}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
