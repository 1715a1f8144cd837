"""`hoptrail kafka`: the topics as they should be, and how the group stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from pipeline.bus.kafka.span_standing import SpanStanding, read_span_standing
from pipeline.bus.kafka.standing import Standing, read_standing
from pipeline.bus.kafka.topics import TopicPlan, apply, plan, wanted_settings
from pipeline.cli.run import ConfigFile
from pipeline.config import BusConfig, load_config
from pipeline.model import Source
from pipeline.spans.waiting import DROPPED, SENT
from pipeline.status import account_document
from pipeline.status_kafka import gone_document

_kafka = typer.Typer(no_args_is_help=True, help="Topics and consumer group of a cluster.")
_topics = typer.Typer(
    no_args_is_help=True, help="The topics of records, and that of spans where they are sent."
)

BusOption = Annotated[str | None, typer.Option("--bus", help="kafka://host:port,host:port")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _kafka.add_typer(_topics, name="topics")
    app.add_typer(_kafka, name="kafka")


@_topics.command("plan")
def topics_plan(config_file: ConfigFile = None, bus: BusOption = None) -> None:
    """Say what `apply` would do; exit code 1 where the topics are not as they should be."""
    config = load_config(config_file, {"bus.dsn": bus})
    plans = asyncio.run(plan(config.bus, spans=config.otlp.sends_spans))
    if _show(plans, config.bus):
        raise typer.Exit(1)


@_topics.command("apply")
def topics_apply(config_file: ConfigFile = None, bus: BusOption = None) -> None:
    """Make the topics that are missing; what exists is left as it is. Unequal partition counts are refused."""
    config = load_config(config_file, {"bus.dsn": bus})
    for each in asyncio.run(apply(config.bus, spans=config.otlp.sends_spans)):
        typer.echo(f"{each.name}: {'is there' if each.exists else 'made'}, {each.partitions} partitions")
        for difference in each.differences:
            typer.echo(f"  {difference}")


@_kafka.command("status")
def kafka_status(
    config_file: ConfigFile = None,
    bus: BusOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json")] = "table",
) -> None:
    """Show the account over all join processes, as of the last commits, and the messages behind it."""
    tree = load_config(config_file, {"bus.dsn": bus})
    document = standing_document(asyncio.run(read_standing(tree.bus)))
    if tree.otlp.sends_spans and (spans := asyncio.run(read_span_standing(tree.bus))):
        document["spans"] = span_standing_document(spans)
    if output == "json":
        typer.echo(json.dumps(document))
        return
    for name, row in document["sources"].items():
        numbers = ", ".join(f"{key} {value}" for key, value in row.items() if isinstance(value, int))
        typer.echo(f"{name}: {numbers}")
        typer.echo(f"  messages behind: {sum(document['lag_messages'][name])}")
        if gone := document["messages_gone"][name]["retention"]:
            typer.echo(f"  messages that retention removed before they were read: {gone}")
    if "spans" in document:
        _show_spans(document["spans"])


def standing_document(standing: Standing) -> dict[str, dict[str, Any]]:
    """Give a group's standing as JSON."""
    return {
        "sources": account_document(standing.account),
        "messages_gone": gone_document(standing.account),
        "lag_messages": {source.value: standing.lag[source] for source in Source},
    }


def span_standing_document(standing: SpanStanding) -> dict[str, Any]:
    """Give the standing of the span topic as JSON; `received` is what was answered for, without what lies behind."""
    account = standing.account
    dropped = {reason: spans for (kind, reason), spans in account.fates.items() if kind == DROPPED}
    return {
        "received": account.received,
        "sent": account.fates.get((SENT, ""), 0),
        "dropped": sum(dropped.values()),
        "drop_reasons": dropped,
        "messages_gone": standing.gone,
        "lag_messages": standing.lag,
    }


def _show_spans(spans: Mapping[str, Any]) -> None:
    typer.echo(f"spans: received {spans['received']}, sent {spans['sent']}, dropped {spans['dropped']}")
    if reasons := spans["drop_reasons"]:
        typer.echo("  " + ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())))
    typer.echo(f"  messages behind: {spans['lag_messages']}")
    if spans["messages_gone"]:
        typer.echo(f"  messages that retention removed before they were sent: {spans['messages_gone']}")


def _show(plans: Sequence[TopicPlan], config: BusConfig) -> bool:
    """Write the plan; says whether anything is not as it should be."""
    for each in plans:
        if each.exists:
            typer.echo(f"{each.name}: is there, {each.partitions} partitions")
        else:
            typer.echo(
                f"{each.name}: to be made, {each.partitions} partitions, {config.kafka.replication} copies"
            )
            for key, value in wanted_settings(config.kafka, each.name).items():
                typer.echo(f"  {key}={value}")
        for fault in (*each.faults, *each.differences):
            typer.echo(f"  {fault}")
    return any(not each.exists or each.faults or each.differences for each in plans)
