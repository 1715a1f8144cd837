from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.report.files import facts_of, write_manifest
from pipeline.report.verify import faults_of


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "r.csv").write_text("a,b\r\n1,2\r\n")
    path = tmp_path / "r.csv.manifest.json"
    write_manifest(path, {"report": "access", "rows": 1, "files": [facts_of(tmp_path / "r.csv")._asdict()]})
    return path


def test_files_as_they_were_written_are_right(manifest: Path) -> None:
    assert faults_of(manifest) == []


def test_one_flipped_byte_is_told(manifest: Path) -> None:
    file = manifest.parent / "r.csv"
    changed = bytearray(file.read_bytes())
    changed[-3] ^= 1
    file.write_bytes(changed)
    (fault,) = faults_of(manifest)
    assert "r.csv has been changed" in fault


def test_a_file_that_grew_or_is_gone_is_told(manifest: Path) -> None:
    file = manifest.parent / "r.csv"
    file.write_bytes(file.read_bytes() + b"x")
    assert "11 bytes" in faults_of(manifest)[0]
    file.unlink()
    assert "cannot be read" in faults_of(manifest)[0]


def test_a_manifest_cannot_point_elsewhere(tmp_path: Path) -> None:
    facts = {"name": "../../etc/hostname", "bytes": 1, "sha256": ""}
    write_manifest(tmp_path / "m.json", {"report": "access", "rows": 1, "files": [facts]})
    assert "not the name of a file" in faults_of(tmp_path / "m.json")[0]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"report": 1}', '{"report": "access", "rows": 0, "files": []}', "\udcff"]
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError):
        faults_of(tmp_path / "m.json")
