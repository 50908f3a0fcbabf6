"""What this server and this role can tell us, and what would mend the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import errors

from pgwatch_wed.facts import Extension, Missing, Server
from pgwatch_wed.quote import ident

PGSS = "pg_stat_statements"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The versions that decide which queries run, and the rights that decide what they show."""

    server: Server
    extension_versions: Mapping[str, str]
    extension_schemas: Mapping[str, str]

    @classmethod
    def of(cls, server: Server, extensions: tuple[Extension, ...]) -> "Capabilities":
        """Derive them from what was read of the server."""
        installed = [e for e in extensions if e.installed_version]
        return cls(
            server,
            {e.name: e.installed_version or "" for e in installed},
            {e.name: e.schema or "public" for e in installed},
        )

    @property
    def reads_all_stats(self) -> bool:
        """The role sees every session's and statement's text."""
        return self.server.is_superuser or "pg_read_all_stats" in self.server.role_memberships

    @property
    def reads_all_data(self) -> bool:
        """The role sees every column's statistics."""
        return self.server.is_superuser or "pg_read_all_data" in self.server.role_memberships

    def schema_of(self, extension: str) -> str:
        """Return the quoted schema of an installed extension."""
        return ident(self.extension_schemas.get(extension, "public"))


def grant_stats(role: str) -> str:
    """Return the GRANT that shows all statistics to a role."""
    return f"GRANT pg_monitor TO {ident(role)};"


def why_missing(error: BaseException, fact: str, server: Server) -> Missing | None:
    """Turn an error that a target may rightly give into a reason; None for any other: a bug."""
    said = str((getattr(error, "diag", None) and error.diag.message_primary) or error)  # type: ignore[attr-defined]
    match error:
        case errors.InsufficientPrivilege():
            return Missing(f"{server.role} may not read it: {said}", grant_stats(server.role))
        case errors.LockNotAvailable():
            return Missing(
                "somebody holds or waits for a lock on a table, and we do not wait in that queue",
                "run again when the lock is gone; lock-blocked and lock-ddl-queue show it",
            )
        case errors.QueryCanceled():
            return Missing(f"it took longer than allowed: {said}", "give more time with --budget")
        case errors.ObjectNotInPrerequisiteState() if "shared_preload_libraries" in said:
            return Missing(
                f"the server does not load the library: {said}",
                f"ALTER SYSTEM SET shared_preload_libraries = '{PGSS}'; and restart "
                "(keep the libraries that are already listed)",
            )
        case (
            errors.UndefinedTable()
            | errors.UndefinedFunction()
            | errors.UndefinedColumn()
            | errors.UndefinedObject()
            | errors.InvalidSchemaName()
            | errors.FeatureNotSupported()
            | errors.ObjectNotInPrerequisiteState()
            | errors.DatatypeMismatch()
            | errors.CannotCoerce()
            | errors.UndefinedParameter()
        ):
            return Missing(f"this server does not offer it: {said}")
        case (
            errors.CharacterNotInRepertoire()
            | errors.UntranslatableCharacter()
            | errors.InvalidTextRepresentation()
            | errors.NumericValueOutOfRange()
            | errors.DataException()
            | errors.DataCorrupted()
            | errors.IndexCorrupted()
            | errors.InternalError_()
            | errors.OutOfMemory()
            | errors.DiskFull()
            | errors.IoError()
            | errors.SerializationFailure()
            | errors.ConfigurationLimitExceeded()
            | errors.TooManyConnections()
            | errors.ProgramLimitExceeded()
            | errors.InsufficientResources()
        ):
            return Missing(f"{fact} could not be read: {said}")
        case _:
            return None
