"""One process at a time per journal."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pipeline.errors import ConfigError


class DirectoryLock:
    """Holds `lock` in a directory until released; the kernel releases it when the process dies.

    Raises:
        ConfigError: Another process holds it; the message names its pid.
    """

    def __init__(self, directory: Path) -> None:
        try:
            self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(f"the journal {directory} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise ConfigError(
                f"the journal {directory} is in use by process {holder}; stop it, or choose another data_dir"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others in; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
