"""`hoptrail explain STATE`: HAProxy's termination states in words."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from pipeline.cli.draw_lines import Hanging
from pipeline.cli.output import Output, OutputOption, draw, write_json, write_rows
from pipeline.join.termination import Explanation, explain

_INDENT = 17
_REACHES = {
    "yes": "yes, a gateway record is to be expected",
    "no": "no, none is to be expected",
    "perhaps": "perhaps; the timers of the request say more",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", context_settings={"ignore_unknown_options": True})(explain_state)


def explain_state(
    state: Annotated[str, typer.Argument(help="Two characters (TCP) or four (HTTP), such as SC--.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what a termination state of HAProxy means: who ended the request, when, and its cookies."""
    found = explain(state)
    if output is Output.TABLE:
        draw(Text(found.state, style="bold"), *_lines(found))
        return
    document = {**found._asdict(), "sentence": found.sentence}
    if output is Output.JSON:
        write_json(document)
    else:
        write_rows([document], output, ())


def _lines(found: Explanation) -> list[Hanging]:
    facts = {
        "ended": found.sentence,
        "request cookie": found.request_cookie,
        "response cookie": found.response_cookie,
        "reached gateway": _REACHES[found.reaches_gateway],
    }
    return [Hanging(Text(text), label, _INDENT) for label, text in facts.items() if text]
