"""Everything that must not pass: refused in words that name it, and harmless in effect."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Door

MARK = "content-that-must-stay-here"
HOSTILE = tomllib.loads(Path(__file__).with_name("hostile.toml").read_text(encoding="utf-8"))["refused"]
STATEMENTS = [(sql, kind["said"]) for kind in HOSTILE for sql in kind["sql"]]
"""What is asked, and what the answer must say."""


class Bait(NamedTuple):
    """What a hostile statement would like to touch."""

    secret: Path
    out: Path
    listener: socket.socket

    def fill(self, sql: str) -> str:
        """Put the real paths and port into a statement."""
        port = self.listener.getsockname()[1]
        for name, value in (("secret", self.secret), ("out", self.out), ("port", port)):
            sql = sql.replace(f"{{{name}}}", str(value))
        return sql

    def is_called(self) -> bool:
        """Whether anybody has connected."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def bait(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bait]:
    directory = tmp_path_factory.mktemp("bait")
    secret = directory / "secret.csv"
    secret.write_text(MARK + "\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Bait(secret, directory / "out", listener)


@pytest.fixture(scope="module")
def answers(door: Door, bait: Bait) -> dict[str, httpx.Response]:
    """Ask everything once; what came of it all is looked at afterwards."""
    return {sql: door.ask(bait.fill(sql)) for sql, _ in STATEMENTS}


def test_the_list_is_long_and_says_nothing_twice() -> None:
    assert len({sql for sql, _ in STATEMENTS}) == len(STATEMENTS) >= 300


@pytest.mark.parametrize(("sql", "said"), STATEMENTS)
def test_a_hostile_statement_is_refused_in_words_that_name_it(
    answers: dict[str, httpx.Response], sql: str, said: str
) -> None:
    answer = answers[sql]
    assert answer.status_code in {400, 403, 404}, answer.text
    assert answer.headers["X-ClickHouse-Exception-Code"] in {"62", "73", "164", "497"}, answer.text
    assert said in answer.text
    assert MARK not in answer.text


def test_nothing_was_written_read_called_changed_or_left_behind(
    answers: dict[str, httpx.Response], door: Door, bait: Bait
) -> None:
    assert len(answers) == len(STATEMENTS)
    assert not bait.is_called()
    assert not bait.out.exists()
    assert bait.secret.read_text(encoding="utf-8") == MARK + "\n"
    assert MARK not in door.log
    assert door.text("SHOW TABLES") == "attempts\nlineage\nlineage_versions\nminutes\n"
    assert (
        door.text("SELECT count(), sum(status), uniqExact(request_id) FROM lineage") == "1000\t350000\t1000\n"
    )
    assert door.text("SELECT currentDatabase(), count() FROM system.databases") == "hoptrail\t5\n"


@pytest.mark.parametrize(
    ("parameters", "sql"),
    [
        ({"t": "system.processes"}, "SELECT * FROM {t:Identifier}"),
        ({"t": "processes", "d": "system"}, "SELECT * FROM {d:Identifier}.{t:Identifier}"),
        ({"t": "system.processes"}, "SELECT 1 IN {t:Identifier}"),
        ({"t": "system.processes"}, "DESCRIBE TABLE {t:Identifier}"),
        ({"t": "system.users"}, "WITH x AS (SELECT * FROM {t:Identifier}) SELECT * FROM x"),
        ({"s": r"\xff"}, "SELECT {s:AggregateFunction(uniq, UInt8)}"),
        ({"s": "AggregateFunction(uniq, UInt8)"}, "SELECT CAST('x', {s:String})"),
        ({"t": r"lineage`,\n`system`.`processes"}, "SELECT * FROM {t:Identifier}"),
        ({"t": r"x\n  Function y"}, "SELECT {t:Identifier} FROM lineage"),
        ({"f": "file"}, "SELECT {f:Identifier}('/etc/passwd')"),
        ({"o": "written.csv"}, "SELECT 1 INTO OUTFILE {o:String}"),
        ({"n": "1 SETTINGS readonly = 0"}, "SELECT 1 LIMIT {n:UInt64}"),
    ],
)
def test_a_parameter_brings_nothing_in_that_is_refused_when_written(
    door: Door, parameters: dict[str, str], sql: str
) -> None:
    answer = door.ask(sql, **{f"param_{name}": value for name, value in parameters.items()})
    assert answer.status_code in {400, 403, 404}, answer.text
    assert "root:" not in answer.text


PLAIN = [sql for sql, said in STATEMENTS if said != "Syntax error" and "--" not in sql]
TRIVIA = st.sampled_from([" ", "\n", "\t", " \r\n ", "/**/", "/* SELECT 1 */", "-- x\n", "# x\n", "\u00a0"])
TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|`[^`]*`|"[^"]*"|\w+|::|->|[!<>=]=|\|\||@@|;;|\s+|.""", re.DOTALL)
_KEYWORDS = """
    ALL ALTER AND APPEND ARRAY AS ATTACH BACKUP BY CASE CREATE CROSS DATABASE DELETE DESC DESCRIBE
    DETACH DROP ELSE END EXCEPT EXISTS EXPLAIN FILL FORMAT FROM FUNCTION GLOBAL GROUP HAVING IN
    INSERT INTERSECT INTO JOIN KILL LIMIT MERGES NOT OFFSET ON OPTIMIZE ORDER OUTFILE OVER PARTITION
    PREWHERE QUALIFY QUERY RENAME REPLACE SELECT SET SETTINGS SHOW SYSTEM TABLE TABLES THEN TO
    TRUNCATE UNION USE VIEW WHEN WHERE WINDOW WITH
"""
KEYWORDS = frozenset(_KEYWORDS.split())
NESTS = st.sampled_from(
    [
        "{}",
        "({})",
        "SELECT * FROM ({})",
        "SELECT * FROM (SELECT * FROM ({}) AS a) AS b",
        "WITH w AS ({}) SELECT * FROM w",
        "WITH w AS ({}) SELECT 1",
        "SELECT 1 WHERE 1 IN ({})",
        "SELECT ({})",
        "SELECT arrayMap(x -> ({}), [1])",
        "SELECT 1 UNION ALL {}",
        "SELECT count() FROM lineage WHERE EXISTS ({})",
        "EXPLAIN {}",
        "DESCRIBE ({})",
        "{} FORMAT JSON",
        "{} SETTINGS max_threads = 1",
    ]
)


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """Give a hostile statement that looks otherwise and means the same."""
    sql = draw(st.sampled_from(PLAIN))
    parts = []
    words = TOKEN.findall(sql)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.isspace():
            parts.append(draw(TRIVIA))
        elif word.upper() in KEYWORDS:
            parts.append(draw(st.sampled_from([word, word.lower(), word.upper(), word.title()])))
        elif following == "(" and word.isidentifier() and not word.isupper():
            parts.append(draw(st.sampled_from([word, f"`{word}`", f'"{word}"', f"{word} ", f"{word}/**/"])))
        else:
            parts.append(word)
    return draw(NESTS).replace("{}", "".join(parts))


@settings(max_examples=150, deadline=None)
@given(sql=disguised())
def test_a_disguise_changes_nothing(door: Door, bait: Bait, sql: str) -> None:
    """Case, comments, white space, quotes, nesting: refused, or not even SQL."""
    answer = door.ask(bait.fill(sql))
    assert answer.status_code != 200, answer.text
    assert MARK not in answer.text
    assert not bait.out.exists()
    assert not bait.is_called()


def test_what_was_allowed_with_one_name_is_judged_anew_with_another(door: Door) -> None:
    sql = "SELECT count() FROM {t:Identifier}"
    for _ in range(2):
        assert door.text(sql, param_t="lineage") == "1000\n"
        assert "table system.processes is refused" in door.ask(sql, param_t="system.processes").text


def test_what_is_refused_on_its_own_is_refused_from_url_and_body_together(door: Door, bait: Bait) -> None:
    answer = door.ask(bait.fill("('{secret}')"), query="SELECT file")
    assert "function file is refused" in answer.text
    assert "Multi-statements" in door.ask("DROP TABLE lineage_versions", query="SELECT 1;").text


PASSES_READONLY = """
import sys, chdb
engine = chdb.connect(sys.argv[1])
engine.query("SET readonly = 1")
print(engine.query(f"SELECT file('{sys.argv[2]}')", "TSVRaw"))
print(engine.query(f"DESCRIBE file('{sys.argv[2]}', 'CSV')"))
engine.query(f"SELECT 'x' INTO OUTFILE '{sys.argv[3]}'")
engine.close()
"""


def test_the_engine_alone_read_only_lets_the_worst_of_them_pass(bait: Bait, tmp_path: Path) -> None:
    """Why there is a guard: without it these three read and write files of the machine."""
    out = tmp_path / "written"
    arguments = [str(tmp_path / "store"), str(bait.secret), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", PASSES_READONLY, *arguments], capture_output=True, text=True, check=True
    )
    assert MARK in done.stdout
    assert out.exists()
