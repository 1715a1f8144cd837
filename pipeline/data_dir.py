"""The directory that a process owns: made private, with the key of the fingerprints and `server.json`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import ConfigError

_KEY_BYTES = 32


def make_private(directory: Path) -> Path:
    """Make a directory that only this user may enter, or check that it is one.

    Raises:
        ConfigError: It cannot be made, or belongs to somebody else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            raise ConfigError(
                f"data_dir {directory} belongs to another user; choose another or change its owner"
            )
        directory.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"data_dir {directory} cannot be used: {error.strerror}") from error
    return directory


def load_key(file: Path, *, create: bool, setting: str = "redaction.key_file") -> bytes:
    """Read a key.

    Args:
        file: Where it is; at least 16 bytes.
        create: Make a random one, mode 0600, where there is none.
        setting: What names the file, for error messages.

    Raises:
        ConfigError: There is none, or it is too short to be a key.
    """
    if create:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as made:
                made.write(secrets.token_bytes(_KEY_BYTES))
    try:
        key = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting} {file} cannot be read: {error.strerror}") from error
    if len(key) < _KEY_BYTES // 2:
        raise ConfigError(f"{setting} {file} holds {len(key)} bytes; a key needs at least 16")
    return key


@contextlib.contextmanager
def announced(directory: Path, addresses: Mapping[str, object]) -> Iterator[Path]:
    """Keep `server.json` in a directory while a server runs, so that reading commands find it."""
    file = directory / "server.json"
    draft = file.with_suffix(".json.new")
    draft.write_text(json.dumps({"pid": os.getpid(), **addresses}, indent=2) + "\n", encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(file)
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)
