"""What this server and this role let us read, and what would allow the rest."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import errors

from pgwatch_wed.errors import said
from pgwatch_wed.facts import Cause, Extension, Missing, Server
from pgwatch_wed.postgres import privileges
from pgwatch_wed.quote import ident

PGSS = "pg_stat_statements"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The versions that determine which queries run, and the privileges that determine what they show."""

    server: Server
    extension_versions: Mapping[str, str]
    extension_schemas: Mapping[str, str]

    @classmethod
    def of(cls, server: Server, extensions: tuple[Extension, ...]) -> "Capabilities":
        """Derive them from what was read from the server."""
        installed = [e for e in extensions if e.installed_version]
        return cls(
            server,
            {e.name: e.installed_version or "" for e in installed},
            {e.name: e.schema or "public" for e in installed},
        )

    @property
    def reads_all_stats(self) -> bool:
        """The role sees every session's and statement's text."""
        return privileges.reads_all_stats(self.server)

    def schema_of(self, extension: str) -> str:
        """Return the quoted schema of an installed extension."""
        return ident(self.extension_schemas.get(extension, "public"))


# The beginning of the reason for an error that no server should raise.
UNEXPECTED = "unexpected error"


def why_missing(error: BaseException, fact: str, server: Server) -> Missing:
    """Turn an error into a reason; an unexpected one says so, and has no other consequences."""
    text = said(error)
    match error:
        case errors.InsufficientPrivilege():
            return Missing(f"{server.role} may not read it: {text}", "", Cause.DENIED, text)
        case errors.LockNotAvailable():
            return Missing(
                "another session holds or awaits a lock on a table, and this run does not wait for it",
                "run again once the lock is released; lock-blocked and lock-ddl-queue show it",
                Cause.LOCKED,
            )
        case errors.QueryCanceled() if "user request" in text:
            return Missing("the query was canceled", "run again", Cause.FAILED)
        case errors.QueryCanceled():
            reason = f"the query took too long: {text}"
            return Missing(reason, "increase --budget", Cause.OUT_OF_TIME, text)
        case errors.ObjectNotInPrerequisiteState() if "shared_preload_libraries" in text:
            return Missing(
                f"the library is not loaded: {text}",
                f"ALTER SYSTEM SET shared_preload_libraries = '{PGSS}'; and restart "
                "(keep the libraries that are already listed)",
                Cause.NOT_OFFERED,
                text,
            )
        case errors.InternalError_() if "cache lookup failed" in text or "could not open" in text:
            reason = f"an object was dropped while it was being read: {text}"
            return Missing(reason, "run again", Cause.VANISHED, text)
        case errors.UndefinedFunction() if "default conversion function" in text:
            return _undecodable(text)
        case errors.CharacterNotInRepertoire() | errors.UntranslatableCharacter():
            return _undecodable(text)
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
            return Missing(f"this server does not support it: {text}", "", Cause.NOT_OFFERED, text)
        case (
            errors.InvalidTextRepresentation()
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
            return Missing(f"it could not be read: {text}", "", Cause.FAILED, text)
        case _:
            state = getattr(error, "sqlstate", None) or type(error).__name__
            return Missing(
                f"{UNEXPECTED} {state} ({fact}): {text}",
                "please report this, with the server version",
                Cause.UNEXPECTED,
                text,
            )


def _undecodable(text: str) -> Missing:
    reason = f"a text is not valid in this database's encoding: {text}"
    return Missing(reason, "", Cause.UNDECODABLE, text)
