"""`hoptrail check`: say what is wrong before anything runs."""

from __future__ import annotations

import typer

from pipeline.cli import check_format
from pipeline.cli.run import ConfigFile
from pipeline.config import load_config
from pipeline.formats.redact import Redactor
from pipeline.parsers import make_haproxy_parser

_checks = typer.Typer(help="Validate a configuration, or a log-format, without running anything.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _checks.callback(invoke_without_command=True)(check)
    check_format.register(_checks)
    app.add_typer(_checks, name="check")


def check(context: typer.Context, config_file: ConfigFile = None) -> None:
    """Validate a configuration without running it; exit code 2 names each field that is wrong."""
    if context.invoked_subcommand is not None:
        return
    config = load_config(config_file)
    syslog, kong = config.sources.syslog, config.sources.kong
    make_haproxy_parser(syslog, Redactor(b"only for a check"))
    typer.echo(f"configuration {config_file or '(defaults and environment)'} is valid")
    for name, value in (
        ("data_dir", config.data_dir),
        ("store", config.store_dsn.rsplit("@", 1)[-1]),
        ("syslog", f"udp {syslog.udp or '-'}, tcp {syslog.tcp or '-'}, unix {syslog.unix or '-'}"),
        ("log format", syslog.log_format or "told apart line by line"),
        ("kong", f"{kong.listen}/ingest/kong" + (" with TLS" if kong.tls else "")),
        ("read door", config.door.listen or "-"),
        ("window", f"{config.join.window_s:g} s"),
    ):
        typer.echo(f"  {name:11} {value}")
