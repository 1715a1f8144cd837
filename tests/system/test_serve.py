"""The whole process: real sockets, a real journal, the embedded store, and kills."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

Command = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., Any]
LEFT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")


def _reconciles(status: dict[str, Any]) -> bool:
    return all(row["received"] == sum(row[name] for name in LEFT) for row in status["sources"].values())


def _settled(status: dict[str, Any], haproxy: int, kong: int) -> bool:
    """Whether so many records have come and none of them is pending."""
    assert _reconciles(status), status
    rows = status["sources"]
    return bool(
        rows["haproxy"]["received"] >= haproxy
        and rows["kong"]["received"] >= kong
        and rows["haproxy"]["pending"] == rows["kong"]["pending"] == 0
    )


def _lineages(command: Command, data_dir: Path) -> list[dict[str, Any]]:
    done = command("search", "--data-dir", data_dir, "--limit", "5000", "-o", "jsonl")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_corpus_through_real_sockets_is_readable_beside_the_running_process(
    serve: Serve, command: Command, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    process = serve()
    for first in range(0, 1500, 100):
        process.send(*haproxy_lines[first : first + 100])
        assert process.post(b"[" + b",".join(kong_bodies[first : first + 100]) + b"]") == 200
    assert process.post(b"\n".join(kong_bodies[1500:])) == 200
    process.wait_for(lambda status: _settled(status, 1500, 1544))
    lineages = _lineages(command, process.data_dir)
    assert len(lineages) == 1500
    assert {one["outcome"] for one in lineages} == {"complete"}
    shown = command("trace", lineages[0]["request_id"], "--data-dir", process.data_dir)
    assert lineages[0]["request_id"] in shown.stdout
    status = json.loads(command("status", "--data-dir", process.data_dir, "-o", "json").stdout)
    assert status["sources"]["kong"]["stored"] == 1544
    listeners = process.status()["listeners"]
    assert listeners["syslog_udp"]["records"] == 1500
    assert listeners["syslog_udp"]["buffer_granted"] > 0
    assert listeners["http_log"]["records"] == 1544
    assert process.stop() == 0


def test_lines_sent_while_nothing_listened_show_as_lost_edge_logs(
    serve: Serve, command: Command, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    process = serve(window_s=1)
    port = process.addresses["syslog_udp"]
    process.send(*haproxy_lines[:100])
    process.wait_for(lambda status: status["sources"]["haproxy"]["received"] >= 100)
    assert process.stop() == 0
    with contextlib.suppress(ConnectionRefusedError):
        process.send(*haproxy_lines[100:200])  # nobody listens there
    process = serve(process.data_dir, udp=port, window_s=1)
    assert process.post(b"[" + b",".join(kong_bodies[:300]) + b"]") == 200
    process.wait_for(lambda status: _settled(status, 100, 300))
    lineages = _lineages(command, process.data_dir)
    missing = [one for one in lineages if one["missing"] == "edge_log_lost"]
    assert len(missing) >= 100
    assert all(one["outcome"] == "gateway_only" and one["final"] for one in missing)


def test_a_stop_leaves_waiting_halves_in_the_journal_and_the_next_start_goes_on(
    serve: Serve, command: Command, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    process = serve(window_s=600)
    process.send(*haproxy_lines[:50])
    process.wait_for(lambda status: status["sources"]["haproxy"]["pending"] == 50)
    assert process.stop() == 0
    process = serve(process.data_dir, window_s=600)
    assert process.status()["sources"]["haproxy"]["pending"] == 50
    assert process.post(b"[" + b",".join(kong_bodies[:60]) + b"]") == 200
    process.wait_for(lambda status: status["sources"]["haproxy"]["pending"] == 0)
    assert {one["outcome"] for one in _lineages(command, process.data_dir)} == {"complete"}


def test_health_metrics_and_errors_are_answered(serve: Serve, kong_bodies: list[bytes]) -> None:
    process = serve()
    base = process.addresses["ingest_url"]
    with httpx.Client(base_url=base, trust_env=False) as client:
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").status_code == 200
        assert client.post("/ingest/kong", content=kong_bodies[0]).status_code == 200
        process.wait_for(lambda status: status["sources"]["kong"]["received"] == 1)
        metrics = client.get("/metrics").text
    assert re.search(r'^hoptrail_records_received_total\{[^}]*source="kong"\} 1\.0$', metrics, re.MULTILINE)
    assert re.search(r'^hoptrail_records_pending\{[^}]*source="kong"\} ', metrics, re.MULTILINE)


def test_a_second_process_on_the_directory_is_refused_and_told_who_holds_it(
    serve: Serve, command: Command
) -> None:
    process = serve()
    second = command("serve", "--data-dir", process.data_dir, check=False)
    assert second.returncode == 2
    assert str(process.process.pid) in second.stderr
    replay = command(
        "replay", "--haproxy", __file__, "--store", f"chdb://{process.data_dir}/store", check=False
    )
    assert replay.returncode == 2
    assert str(process.process.pid) in replay.stderr


def test_an_address_that_is_taken_is_one_line_and_exit_code_2(command: Command, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "hoptrail.yaml"
        config.write_text(f"""
data_dir: {tmp_path / "data"}
sources:
  kong: {{listen: "127.0.0.1:{taken.getsockname()[1]}"}}
  syslog: {{udp: "127.0.0.1:0", tcp: "127.0.0.1:0"}}
door: {{listen: "127.0.0.1:0"}}
""")
        done = command("serve", "--config", config, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("hoptrail: sources.kong.listen: cannot listen on")
    assert "Traceback" not in done.stderr


def test_what_waits_is_shown_as_pending_and_a_kill_makes_nothing_of_it_twice(
    serve: Serve, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    settings = {"join": {"window_s": 600, "show_pending_after_s": 1}}
    process = serve(**settings)
    process.send(*haproxy_lines[:50])
    process.wait_for(lambda _: _by_outcome(process) == {"edge_only pending 0": 50})
    process.kill()
    process = serve(process.data_dir, **settings)
    assert process.post(b"[" + b",".join(kong_bodies[:60]) + b"]") == 200
    status = process.wait_for(lambda status: status["sources"]["haproxy"]["stored"] == 50)
    assert status["sources"]["haproxy"]["duplicate"] == 0
    assert status["sources"]["haproxy"]["lateness_s"]["samples"] > 0
    process.wait_for(lambda _: _by_outcome(process).get("complete  1") == 50)
    assert not [name for name in _by_outcome(process) if name.startswith("edge_only")]


def _by_outcome(process: Any) -> dict[str, int]:
    query = (
        "SELECT concat(outcome, ' ', missing, ' ', toString(toUInt8(final))), count() FROM lineage GROUP BY 1"
    )
    answer = httpx.get(
        process.addresses["read_url"],
        params={"query": f"{query} FORMAT JSONCompact"},
        trust_env=False,
        timeout=60,
    )
    return {name: int(count) for name, count in json.loads(answer.text)["data"]}
