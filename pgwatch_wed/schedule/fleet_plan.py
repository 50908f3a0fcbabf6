"""What a scheduler is to do for a fleet, and when; how it is written is up to the module of each scheduler."""

from dataclasses import dataclass

from pgwatch_wed.errors import UsageError
from pgwatch_wed.schedule.tasks import TimeOfDay, check_words


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet run a day, at a time: by one process, by ``machines`` shards, or by as many workers of a queue."""

    config: str
    sources: tuple[str, ...] = ()
    history: str = ""
    output: str = "/var/lib/db-analyze"
    program: str = "db-analyze"
    hour: int = 2
    minute: int = 17
    zone: str = ""
    user: str = "db-analyze"
    image: str = ""
    machines: int = 1
    has_queue: bool = False

    def __post_init__(self) -> None:
        check_words(self, ("config", "history", "output", "program", "user", "image"))
        for source in self.sources:
            if not source.isprintable():
                raise UsageError("inventory: a line break or control character cannot be scheduled")
            if source == "-":
                raise UsageError(
                    "a scheduler has no standard input", "name a file as the inventory"
                )

    @property
    def at(self) -> TimeOfDay:
        """Every day."""
        return TimeOfDay(self.hour, self.minute)

    def run(self, *more: str) -> tuple[str, ...]:
        """Return the words of `fleet run`."""
        return ("fleet", "run", *self._given, *more)

    def enqueue(self) -> tuple[str, ...]:
        """Return the words of `fleet enqueue`."""
        return ("fleet", "enqueue", *self._given)

    def worker(self, *more: str) -> tuple[str, ...]:
        """Return the words of `fleet worker`."""
        return ("fleet", "worker", *self._given, *more)

    def one_machine(self, scheduler: str) -> None:
        """Refuse shards where all of them would run on the same machine."""
        if self.machines > 1:
            raise UsageError(
                f"{scheduler} runs everything on one machine",
                "omit --machines; with --queue, install the same on each machine",
            )

    def says_which_clusters(self) -> tuple[str, ...]:
        """Return a comment if neither an inventory nor a configuration file is given."""
        if self.sources or self.config:
            return ()
        said = "# Its clusters are the services of that user's pg_service.conf, since neither --inventory nor --config is given."
        return (said,)

    @property
    def _given(self) -> tuple[str, ...]:
        config = ("--config", self.config) if self.config else ()
        history = ("--history", self.history) if self.history else ()
        return (*config, *(w for s in self.sources for w in ("--inventory", s)), *history)
