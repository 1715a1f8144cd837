from __future__ import annotations

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import to_dead_letter
from pipeline.formats.redact import Redactor
from pipeline.model import Source


def test_a_letter_keeps_the_reason_and_knows_its_record_again(redactor: Redactor) -> None:
    body = b"GET /a?token=S3cr3tValue HTTP/1.1 \xff\x00"
    error = MalformedLine("not_a_log_line", "x" * 2000)
    letter = to_dead_letter(
        body, offset=4, source=Source.HAPROXY, arrival_ns=5, peer="192.0.2.1", error=error, redactor=redactor
    )
    assert (letter.offset, letter.arrival_ns, letter.peer, letter.reason) == (
        4,
        5,
        "192.0.2.1",
        "not_a_log_line",
    )
    assert letter.fingerprint == redactor.fingerprint(body)
    assert letter.size == len(body)
    assert len(letter.detail) == 500
    assert "S3cr3t" not in letter.body
    assert "\\xff" in letter.body
    assert letter.body.isprintable()
