"""`hoptrail check format`: what the lines of a log-format can tell a lineage, and what to add to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipeline.cli.output import Output, OutputOption, write_json
from pipeline.cli.parse import HaproxyConfigOption, NamesOption, named, read_config
from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config import Frontend
from pipeline.formats.haproxy_config.frontends import frontend_names
from pipeline.formats.log_format import Captures, FormatReport, compile_format, report_on
from pipeline.formats.log_format.report import Need


def register(checks: typer.Typer) -> None:
    """Add the command to the group `check`."""
    checks.command("format")(check_format)


def check_format(
    log_format: Annotated[
        str | None,
        typer.Argument(help="The log-format, as in haproxy.cfg or its bare string, or a built-in name."),
    ] = None,
    names: NamesOption = None,
    haproxy_config: HaproxyConfigOption = None,
    is_error: Annotated[bool, typer.Option("--error", help="It is an error-log-format.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say which fields of a lineage the lines of a log-format give, which will be missing, and what to add.

    Also whether some line could be read in two ways. Exit code 1 if a field is missing without which there is
    no lineage, 2 if HAProxy would refuse the format.
    """
    if haproxy_config is None and log_format is None:
        raise ConfigError("give a log-format, or --haproxy-config with a file that has them")
    if haproxy_config is not None and log_format is not None:
        raise ConfigError("a log-format and --haproxy-config are both given: give one of them")
    reports: list[tuple[str, FormatReport, Sequence[str]]] = []
    if log_format is not None:
        compiled = compile_format(log_format, names=named(names))
        reports.append(("", report_on(compiled, is_error=is_error), ()))
    elif haproxy_config is not None:
        for frontend in read_config(haproxy_config).frontends:
            reports += _of_frontend(frontend)
    if output is Output.TABLE:
        for title, report, notes in reports:
            _print(title, report, notes)
    else:
        write_json([_document(title, report, notes) for title, report, notes in reports])
    if any(need.importance == "needed" for _, report, _ in reports for need in report.missing):
        raise typer.Exit(1)


def _of_frontend(frontend: Frontend) -> list[tuple[str, FormatReport, Sequence[str]]]:
    captures = Captures(frontend.request_captures, frontend.response_captures)
    names = frontend_names(frontend)
    text = frontend.log_format or ("httplog" if frontend.mode == "http" else "tcplog")
    notes = list(frontend.notes)
    if not frontend.log_format:
        notes.append(
            "no log-format and no option httplog: HAProxy writes `Connect from …`, which has no request"
        )
    report = report_on(compile_format(text, captures=captures, names=names))
    found: list[tuple[str, FormatReport, Sequence[str]]] = [(f"frontend {frontend.name}", report, notes)]
    if frontend.error_log_format:
        errors = compile_format(frontend.error_log_format, captures=captures, names=names)
        found.append((f"frontend {frontend.name}, error-log-format", report_on(errors, is_error=True), ()))
    return found


def _print(title: str, report: FormatReport, notes: Sequence[str]) -> None:
    """Write a report for a person."""
    if title:
        typer.echo(f"\n{title}")
    typer.echo(f"{report.shape} lines of {report.kind}")
    typer.echo("recovered:")
    for field, items in report.recovered:
        typer.echo(f"  {field:22} {' '.join(items)}")
    if report.missing:
        typer.echo("missing in the lineage:")
        for need in report.missing:
            typer.echo(f"  {need.field:22} {need.importance}: {need.lack}")
            typer.echo(f"  {'':22} add {need.add}")
    if report.ambiguous:
        typer.echo("can be read in two ways where a client makes it so: " + ", ".join(report.ambiguous))
    if report.ignored:
        typer.echo("not used: " + ", ".join(report.ignored))
    for warning in (*report.warnings, *notes):
        typer.echo(f"warning: {warning}")


def _document(title: str, report: FormatReport, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "frontend": title.removeprefix("frontend ") or None,
        "kind": report.kind,
        "shape": report.shape,
        "recovered": {field: list(items) for field, items in report.recovered},
        "missing": [_need(need) for need in report.missing],
        "ambiguous": list(report.ambiguous),
        "not_used": list(report.ignored),
        "warnings": [*report.warnings, *notes],
    }


def _need(need: Need) -> dict[str, str]:
    return {"field": need.field, "importance": need.importance, "lack": need.lack, "add": need.add}
