"""Formats given to the real HAProxy, and its own lines read back."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pipeline.formats.haproxy_config import line_formats, read_haproxy_config
from pipeline.formats.haproxy_words import split_words
from pipeline.formats.log_format import BUILT_IN, compile_format
from pipeline.formats.log_format.items import ALIASES, SINCE_3_1

HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = [
    pytest.mark.haproxy,
    pytest.mark.skipif(
        HAPROXY is None, reason="needs the haproxy binary; `make test` installs it where it may"
    ),
]

_ALL = sorted(set(ALIASES) - SINCE_3_1 - {"CC", "CS", "hrl", "hsl"})
FORMATS = {
    "httplog_id": BUILT_IN["httplog"] + " %ID",
    "error": BUILT_IN["error"],
    "clf": BUILT_IN["clf"],
    "spaced": " ".join(f"%{alias}" for alias in _ALL),
    "barred": "|".join(f"%{alias}" for alias in _ALL),
    "quoted": "%{+Q}o " + " ".join(f"%{alias}" for alias in _ALL),
    "hexadecimal": "%{+X}o %ci:%cp %fi:%fp %Ts %rt %pid %lc %{-X}ST",
    "vanishing": "%ST %hr %hs %HQ %HPO end",
    "glued": "%ST%hr%hs|%HQ",
    "listed": "%{+Q}o %ST %hrl",
    "expressions": "%[src]:%[src_port] %[date(0,us)] %[capture.req.hdr(0),json(utf8s)] %[fc_err] %[unique-id]",
    "json": '{"ci":"%ci","a":{"r":"%[capture.req.uri,json(utf8s)]","at":["%Ts.%ms"]},"st":%ST,"ua":"%[capture.req.hdr(0),json(utf8s)]"}',
}
AGENT = 'odd "agent" \\ {x|y} #1'


class Edge:
    """A HAProxy with one frontend per format, and what it logged; its sockets are ours, so no port is raced for."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.receiver.bind(("127.0.0.1", 0))
        self.receiver.settimeout(10)
        self.listeners = {name: stack.enter_context(socket.socket()) for name in FORMATS}
        for listener in self.listeners.values():
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        self.ports = {name: listener.getsockname()[1] for name, listener in self.listeners.items()}
        self.config = self._config()
        file = directory / "haproxy.cfg"
        file.write_text(self.config, encoding="utf-8")
        self.process = subprocess.Popen(
            [str(HAPROXY), "-q", "-db", "-f", str(file)],
            env={"FMT": FORMATS["json"], "PATH": "/usr/bin"},
            pass_fds=[listener.fileno() for listener in self.listeners.values()],
        )
        stack.callback(self.process.wait, 10)
        stack.callback(self.process.terminate)

    def _config(self) -> str:
        text = [
            "global",
            "  setenv HEAD '%ci:%cp'",
            f"  log 127.0.0.1:{self.receiver.getsockname()[1]} len 16000 format raw local0",
            "defaults", "  mode http", "  log global", "  option dontlognull",
            "  timeout client 5s", "  timeout server 5s", "  timeout connect 5s",
        ]  # fmt: skip
        for name, listener in self.listeners.items():
            quoted = FORMATS[name].replace("\\", "\\\\").replace('"', '\\"')
            shown = '"${FMT}"' if name == "json" else f'"{quoted}"'
            text += [
                f"frontend {name}", f"  bind fd@{listener.fileno()}", "  unique-id-format %[uuid()]",
                "  capture request header User-Agent len 64", "  http-request return status 204",
                f"  log-format {shown}",
            ]  # fmt: skip
        return "\n".join(text) + "\n"

    def ask(self, name: str, target: str, agent: str | None = AGENT) -> tuple[str, tuple[str, int]]:
        """Send a request; gives the line that HAProxy logged and the client's own address."""
        with closing(socket.create_connection(("127.0.0.1", self.ports[name]), timeout=10)) as client:
            own = client.getsockname()
            header = f"User-Agent: {agent}\r\n" if agent else ""
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n{header}Connection: close\r\n\r\n".encode())
            while client.recv(4096):
                pass
        return self.receiver.recv(65_536).decode().rstrip("\n"), own


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with ExitStack() as stack:
        yield Edge(tmp_path_factory.mktemp("haproxy"), stack)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("target", "agent"), [("/a/b?x=1&y=%22", AGENT), ("/a#{}", None)])
def test_its_lines_give_back_what_the_client_did(
    name: str, target: str, agent: str | None, edge: Edge
) -> None:
    target = target.replace("#{}", "")
    line, (address, port) = edge.ask(name, target, agent)
    compiled = compile_format(FORMATS[name])
    flags: set[str] = set()
    values = compiled.read(line, flags)
    assert values is not None, line
    assert not flags, line
    known = {
        "ci": address, "cp": str(port), "ST": "204", "HM": "GET", "HU": target, "HV": "HTTP/1.1", "f": name, "b": name,
        "s": "<NOSRV>", "tsc": "LR--", "ts": "LR", "fi": "127.0.0.1", "fp": str(edge.ports[name]),
        "pid": str(edge.process.pid), "r": f"GET {target} HTTP/1.1", "HP": target.partition("?")[0],
        "HQ": target.removeprefix("/a/b") if "?" in target else None, "HPO": target.partition("?")[0],
    }  # fmt: skip
    if name == "json":
        known["HU"] = target
    for key, expected in known.items():
        if key in values and not (name == "quoted" and expected is None):
            assert values[key] == expected, (key, line)
    escaped = (
        "{"
        + AGENT.replace("#", "#23")
        .replace('"', "#22")
        .replace("{", "#7B")
        .replace("|", "#7C")
        .replace("}", "#7D")
        + "}"
    )
    if "hr" in values and name != "httplog_id":
        assert (values["hr"] or "{}") == (escaped if agent else "{}"), line
    if name == "json":
        assert values["%[capture.req.hdr(0),json(utf8s)]"] == (agent or "-")


def test_its_configuration_gives_the_formats_of_its_lines(edge: Edge) -> None:
    config = read_haproxy_config(edge.config, {"FMT": FORMATS["json"]})
    formats = {item.frontend: item for item in line_formats(config)}
    assert set(formats) == set(FORMATS)
    line, (address, _) = edge.ask("json", "/x")
    values = formats["json"].compiled.read(line) or {}
    assert (values["ci"], values["user_agent"], values["HU"]) == (address, AGENT, "/x")
    assert json.loads(line)["st"] == 204


WORDS = (
    r"a\d \$ \'b", r"a\ b\'c\q'd\e'", '"x${NOPE-def}y${HOME}z$HOME"', r"${HOME}\x41", r"""'a"b$HOME\n'""", '"q ${LIST[*]} r"',
    '"tab\tin" # comment', r"""a"b"'c'd\\e f""", '"${NOPE}"e', r'"a\tb\\" c\#d # e', "''", '"" x',
)  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_words_are_cut_as_haproxy_cuts_them(words: str, tmp_path: Path) -> None:
    """HAProxy says a word back with `.notice`; `.if streq()` of each word tells the rest."""
    environ = {"HOME": "/root", "LIST": "1 2 3"}
    for index, word in enumerate(split_words(words, environ)):
        file = tmp_path / f"{index}.cfg"
        # HAProxy 2.6 spoils a line with variables while it makes room for its first long one.
        file.write_text(f".diag '{'x' * 200}'\n.notice {words}\n", encoding="utf-8")
        done = subprocess.run(
            [str(HAPROXY), "-c", "-f", str(file)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if index == 0 and len(split_words(words, environ)) == 1:
            assert f"'{word}'." in done.stderr, done.stderr
        elif index == 1:
            assert f"Unexpected argument '{word}'" in done.stderr, done.stderr
