"""I/O: whether the files of a report are still those that its manifest names; no store is asked."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.errors import ConfigError
from pipeline.report.files import facts_of

_LARGEST = 64 * 2**20
"""Bytes of a manifest that are read."""


class _File(msgspec.Struct):
    name: str
    bytes: int
    sha256: str


class _Manifest(msgspec.Struct):
    report: str
    rows: int
    files: list[_File]


def faults_of(manifest: Path) -> list[str]:
    """Compare files with what the manifest beside them says; gives what is wrong, a sentence each.

    Raises:
        ConfigError: It cannot be read, or is no manifest of ours.
    """
    try:
        with manifest.open("rb") as file:
            named = msgspec.json.decode(file.read(_LARGEST), type=_Manifest)
    except OSError as error:
        raise ConfigError(f"cannot read {manifest}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{manifest} is no manifest of a report: {error}") from error
    if not named.files:
        raise ConfigError(f"{manifest} names no file")
    return [fault for file in named.files if (fault := _fault_of(manifest.parent, file))]


def _fault_of(folder: Path, file: _File) -> str:
    if Path(file.name).name != file.name:
        return f"{file.name!r} is not the name of a file beside the manifest"
    try:
        found = facts_of(folder / file.name)
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}"
    if found.bytes != file.bytes:
        return f"{file.name} has {found.bytes} bytes, the manifest says {file.bytes}"
    if found.sha256 != file.sha256:
        return f"{file.name} has been changed: its SHA-256 is {found.sha256}, the manifest says {file.sha256}"
    return ""
