"""PURE: what a `haproxy.cfg` says about the lines that it makes HAProxy write.

`conditions` decides `.if`, `sections` follows inheritance from `defaults` and gathers what each frontend logs,
`frontends` makes formats of it. HAProxy's quotes and variables are read by `haproxy_words`.
"""

from pipeline.formats.haproxy_config.frontends import line_formats
from pipeline.formats.haproxy_config.sections import (
    Frontend,
    HaproxyConfig,
    LogTarget,
    read_haproxy_config,
)

__all__ = ["Frontend", "HaproxyConfig", "LogTarget", "line_formats", "read_haproxy_config"]
