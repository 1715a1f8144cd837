"""What the operator may set: one frozen model per component, and how they are read.

Options beat `HOPTRAIL_SECTION__KEY` variables beat the YAML file. Unknown keys are errors that name
themselves. Read once, at start; pieces are passed down, nothing below `topology` reads the environment.
"""

from pipeline.config.bus import BusConfig
from pipeline.config.door import DoorAccount, DoorConfig
from pipeline.config.join import JoinConfig
from pipeline.config.kafka import KafkaConfig, KafkaSecurity
from pipeline.config.load import load_config
from pipeline.config.otlp import OtlpConfig
from pipeline.config.redaction import RedactionConfig
from pipeline.config.sources import KongConfig, SourcesConfig, SyslogConfig
from pipeline.config.store import StoreConfig
from pipeline.config.tls import TlsConfig
from pipeline.config.tree import Config

__all__ = [
    "BusConfig",
    "Config",
    "DoorAccount",
    "DoorConfig",
    "JoinConfig",
    "KafkaConfig",
    "KafkaSecurity",
    "KongConfig",
    "OtlpConfig",
    "RedactionConfig",
    "SourcesConfig",
    "StoreConfig",
    "SyslogConfig",
    "TlsConfig",
    "load_config",
]
