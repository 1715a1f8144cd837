"""`tls`: certificates of listeners."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.section import Section


class TlsConfig(Section):
    """Certificate of an HTTPS listener."""

    cert_file: Path
    key_file: Path
