"""`hoptrail kafka`: the topics as they should be, and how the group stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipeline.bus.kafka.standing import Standing, read_standing
from pipeline.bus.kafka.topics import TopicPlan, apply, plan, wanted_settings
from pipeline.cli.run import ConfigFile
from pipeline.config import BusConfig, load_config
from pipeline.model import Source
from pipeline.status import account_document

_kafka = typer.Typer(no_args_is_help=True, help="Topics and consumer group of a cluster.")
_topics = typer.Typer(no_args_is_help=True, help="The topics of edge and gateway records.")

BusOption = Annotated[str | None, typer.Option("--bus", help="kafka://host:port,host:port")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _kafka.add_typer(_topics, name="topics")
    app.add_typer(_kafka, name="kafka")


@_topics.command("plan")
def topics_plan(config_file: ConfigFile = None, bus: BusOption = None) -> None:
    """Say what `apply` would do; exit code 1 where the topics are not as they should be."""
    config = load_config(config_file, {"bus.dsn": bus}).bus
    plans = asyncio.run(plan(config))
    if _show(plans, config):
        raise typer.Exit(1)


@_topics.command("apply")
def topics_apply(config_file: ConfigFile = None, bus: BusOption = None) -> None:
    """Make the topics that are missing; what exists is left as it is. Unequal partition counts are refused."""
    config = load_config(config_file, {"bus.dsn": bus}).bus
    for each in asyncio.run(apply(config)):
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
    config = load_config(config_file, {"bus.dsn": bus}).bus
    document = standing_document(asyncio.run(read_standing(config)))
    if output == "json":
        typer.echo(json.dumps(document))
        return
    for name, row in document["sources"].items():
        numbers = ", ".join(f"{key} {value}" for key, value in row.items() if isinstance(value, int))
        typer.echo(f"{name}: {numbers}")
        typer.echo(f"  messages behind: {sum(document['lag_messages'][name])}")


def standing_document(standing: Standing) -> dict[str, dict[str, Any]]:
    """Give a group's standing as JSON."""
    return {
        "sources": account_document(standing.account),
        "lag_messages": {source.value: standing.lag[source] for source in Source},
    }


def _show(plans: Sequence[TopicPlan], config: BusConfig) -> bool:
    """Write the plan; says whether anything is not as it should be."""
    for each in plans:
        if each.exists:
            typer.echo(f"{each.name}: is there, {each.partitions} partitions")
        else:
            typer.echo(
                f"{each.name}: to be made, {each.partitions} partitions, {config.kafka.replication} copies"
            )
            for key, value in wanted_settings(config.kafka).items():
                typer.echo(f"  {key}={value}")
        for fault in (*each.faults, *each.differences):
            typer.echo(f"  {fault}")
    return any(not each.exists or each.faults or each.differences for each in plans)
