"""PURE: a parser from the very `log-format` string of a `haproxy.cfg`, and what such lines can tell.

`nodes` reads the string as HAProxy does, `items` knows what each alias and expression writes, `text_lines` and
`json_lines` make readers of it, `ambiguity` proves whether a line can be read in one way alone, `report` says
what a lineage will lack.
"""

from pipeline.formats.log_format.compile import Format, compile_format
from pipeline.formats.log_format.items import BUILT_IN
from pipeline.formats.log_format.pieces import Captures
from pipeline.formats.log_format.report import FormatReport, report_on

__all__ = ["BUILT_IN", "Captures", "Format", "FormatReport", "compile_format", "report_on"]
