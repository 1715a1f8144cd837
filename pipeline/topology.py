"""The one page that names everything and who feeds whom.

Connections are entered first and left last; stages go from sink to source, so that nothing arrives before
all is ready, and leaving stops the sources first.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pipeline.bus.journal import open_journal
from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.config import Config
from pipeline.contracts import Bus, Store
from pipeline.data_dir import announced, load_key, make_private
from pipeline.engine import Engine, EngineLimits, EngineThread
from pipeline.engine.draft import ParseStage
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.http_server import HttpServer
from pipeline.join.joiner import Joiner, JoinLimits
from pipeline.sinks.clickhouse import open_sink
