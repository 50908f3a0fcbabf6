"""Storage: a file or an object is written, read back, compared and deleted; free space where there is such a thing."""

import contextlib
import errno
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes.extras import needed
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure, network
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings, Secret
from pgwatch_wed.serve.probes.web import trusting
from pgwatch_wed.serve.state import Reason

_BYTES = 4096
_MARK = ".pgwatch_wed_probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings(ProbeSettings):
    """A directory (``path``), or a bucket (``url`` such as ``s3://bucket/prefix``) with its keys."""

    path: str = ""
    free_ratio: float = 0.05  # of the file system
    free_bytes: int = 0
    url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: Secret | None = None
    secret_key: Secret | None = None

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        ProbeSettings.check(self, where)
        if bool(self.path) == bool(self.url):
            raise UsageError(f"{where}: either path or url is needed")
        if not self.url:
            if not self.path.startswith("/"):
                raise UsageError(f"{where}.path must begin with /")
            return
        found = urlsplit(self.url)
        if found.scheme != "s3" or not found.netloc:
            raise UsageError(f"{where}.url must be such as s3://bucket/prefix")
        if self.endpoint and urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise UsageError(f"{where}.endpoint must begin with http:// or https://")
        if (self.access_key is None) is not (self.secret_key is None):
            raise UsageError(f"{where}: access_key and secret_key belong together")
        needed("obstore", "s3")


@dataclass(slots=True)
class StorageProbe:
    """Writes, reads and deletes."""

    settings: StorageSettings
    now: Callable[[], float]
    _kept: tuple[Mapping[str, Any], Any] | None = field(default=None)

    def __call__(self, limit: Limit) -> Observation:
        """Ask it."""
        content = secrets.token_bytes(_BYTES)
        return self._object(content, limit) if self.settings.url else self._file(content, limit)

    # A directory

    def _file(self, content: bytes, limit: Limit) -> Observation:
        folder = Path(self.settings.path)
        file = folder / self._name()
        try:
            _write(file, content)
            limit.left()
            found = file.read_bytes()
            file.unlink()
            space = os.statvfs(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                file.unlink()
            raise _of_file(error) from None
        if found != content:
            raise ProbeFailure(Reason.CONDITION, "what is read is not what was written")
        return self._spacious(space)

    def _spacious(self, space: os.statvfs_result) -> Observation:
        free = space.f_bavail * space.f_frsize
        size = (space.f_blocks - space.f_bfree + space.f_bavail) * space.f_frsize
        seen = Observation(readings={"storage_free_bytes": free, "storage_size_bytes": size})
        if free < self.settings.free_bytes or (size and free / size < self.settings.free_ratio):
            return seen.warned(
                f"{units.size(free)} are free, {units.share(free / size if size else 0)}"
            )
        return seen

    def _name(self) -> str:
        # the same each time: what a killed process left behind is overwritten by the next
        return f"{_MARK}-{self.settings.name}-{socket.gethostname()}"

    # A bucket

    def _object(self, content: bytes, limit: Limit) -> Observation:
        obstore = needed("obstore", "s3")
        errors = needed("obstore.exceptions", "s3")
        with network():
            _reach(self._endpoint(), limit)
        store = self._store(limit)
        place = urlsplit(self.settings.url).path.strip("/")
        key = f"{place}/{self._name()}" if place else self._name()
        try:
            # Only the synchronous calls: the asynchronous ones abort the interpreter when it ends.
            obstore.put(store, key, content, use_multipart=False)
            limit.left()
            found = bytes(obstore.get(store, key).bytes())
            limit.left()
            obstore.delete(store, key)
        except (errors.PermissionDeniedError, errors.UnauthenticatedError):
            raise ProbeFailure(Reason.AUTH, "the storage answers, and refuses our keys") from None
        except (errors.NotFoundError, FileNotFoundError):
            raise ProbeFailure(Reason.CONDITION, "the bucket does not exist") from None
        except errors.BaseError:  # its text holds the whole request
            self._kept = None
            limit.left()
            raise ProbeFailure(Reason.PROTOCOL) from None
        if found != content:
            raise ProbeFailure(Reason.CONDITION, "what is read is not what was written")
        return Observation()

    def _endpoint(self) -> str:
        bucket, region = urlsplit(self.settings.url).netloc, self.settings.region
        return self.settings.endpoint or f"https://{bucket}.s3.{region}.amazonaws.com"

    def _store(self, limit: Limit) -> Any:
        """Return the store; a new one if the keys have changed, since making one is expensive."""
        wanted = self.settings
        keys = {
            name: secret.value()
            for name, secret in (
                ("access_key_id", wanted.access_key),
                ("secret_access_key", wanted.secret_key),
            )
            if secret
        }
        if self._kept is None or self._kept[0] != keys:
            seconds = f"{max(1, round(wanted.deadline_s))}s"
            made = needed("obstore.store", "s3").S3Store(
                urlsplit(wanted.url).netloc,
                region=wanted.region,
                **({"endpoint": wanted.endpoint} if wanted.endpoint else {}),
                **keys,
                client_options={"timeout": seconds, "connect_timeout": seconds, "allow_http": True},
                retry_config={"max_retries": 0},
            )
            self._kept = (keys, made)
        limit.left()
        return self._kept[1]


def _write(file: Path, content: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    # exclusive: whoever put a link there does not choose where we write
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        written = os.write(handle, content)
        if written != len(content):
            raise OSError(errno.ENOSPC, "written in part")
        os.fsync(handle)
        if hasattr(os, "posix_fadvise"):  # else the page cache would answer
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


_OF_FILES: Mapping[int, tuple[Reason, str]] = {
    errno.ENOSPC: (Reason.CONDITION, "no space is left"),
    errno.EDQUOT: (Reason.CONDITION, "the quota is used up"),
    errno.EFBIG: (Reason.CONDITION, "the limit for the size of files is reached"),
    errno.EROFS: (Reason.CONDITION, "the file system is read-only"),
    errno.ENOENT: (Reason.CONDITION, "the directory does not exist"),
    errno.ENOTDIR: (Reason.CONDITION, "the path is no directory"),
    errno.EACCES: (Reason.AUTH, "writing is not permitted"),
    errno.EPERM: (Reason.AUTH, "writing is not permitted"),
    errno.ESTALE: (Reason.PROTOCOL, "the network file system has lost the directory"),
    errno.ETIMEDOUT: (Reason.TIMEOUT, "the network file system does not answer"),
    errno.EMFILE: (Reason.LIMIT, "this process has too many open files"),
}


def _of_file(error: OSError) -> ProbeFailure:
    default = (Reason.PROTOCOL, "an error of input or output")
    return ProbeFailure(*_OF_FILES.get(error.errno or 0, default))


def _reach(endpoint: str, limit: Limit) -> None:
    """Resolve the name, connect and encrypt, so that what fails there has its own reason."""
    found = urlsplit(endpoint)
    secure = found.scheme == "https"
    host, port = found.hostname or "", found.port or (443 if secure else 80)
    with socket.create_connection((host, port), limit.left()) as plain:
        if secure:
            plain.settimeout(limit.left())
            context: ssl.SSLContext = trusting("")
            context.wrap_socket(plain, server_hostname=host).close()
