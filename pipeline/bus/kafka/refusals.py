"""What brokers refuse, in one sentence for whoever is woken by it: what is wrong, and what mends it.  PURE."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable

from aiokafka.errors import (
    AuthenticationFailedError,
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from pipeline.config import KafkaConfig

_RIGHTS = "docs/kafka.md, Access, lists what each role needs"
_NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}


def may_pass(error: BaseException) -> bool:
    """Whether waiting may mend it: a broker that is away or still starts does, a wrong password does not."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, ssl.SSLError):
        return error.reason not in _NOT_TLS
    if isinstance(
        error, AuthenticationFailedError | SaslAuthenticationFailed | UnsupportedSaslMechanismError
    ):
        return False
    if isinstance(error, KafkaError):
        return error.retriable or isinstance(error, KafkaConnectionError | KafkaTimeoutError)
    return isinstance(error, OSError)


def is_forbidden(error: BaseException) -> bool:
    """Whether it is an access rule that is missing."""
    return isinstance(
        error,
        TopicAuthorizationFailedError | GroupAuthorizationFailedError | ClusterAuthorizationFailedError,
    )


def explain(error: BaseException, kafka: KafkaConfig, right: str = "Read") -> str:
    """Say what an error of a client means, with the setting or the access rule that mends it; no secret is in it.

    Args:
        error: Of a client's.
        kafka: What it was told.
        right: The operation on a topic that was under way, as access rules name it.
    """
    if type(error) is KafkaError and error.__cause__ is not None:
        return explain(
            error.__cause__, kafka, right
        )  # aiokafka's own wrapping of what ended one of its tasks
    if is_forbidden(error):
        return f"no access rule lets {_who(kafka)} {_act(error, kafka, right)}: {_RIGHTS}"
    if isinstance(error, SaslAuthenticationFailed | AuthenticationFailedError):
        return f"the password or token of {_who(kafka)} is refused: see bus.kafka.security"
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"this listener does not offer {kafka.security.mechanism}: see bus.kafka.security.mechanism"
    return _of_connection(error, kafka)


def _act(error: BaseException, kafka: KafkaConfig, right: str) -> str:
    """Say what is forbidden."""
    if isinstance(error, TopicAuthorizationFailedError):
        return f"{right} the topic {_names(error) or 'in question'}"
    if isinstance(error, GroupAuthorizationFailedError):
        return f"Read the group {_names(error) or kafka.group}"
    return "do this to the cluster"


def _of_connection(error: BaseException, kafka: KafkaConfig) -> str:
    """Say why no connection came about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is refused: {error.verify_message}; see bus.kafka.security.ca_file"
    if isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS:
        return "this listener does not speak TLS: see bus.kafka.security.tls"
    if isinstance(error, KafkaConnectionError) and not isinstance(error.__cause__, OSError):
        hint = "" if kafka.security.tls else "; if the listener speaks TLS, set bus.kafka.security.tls"
        return f"{' '.join(map(str, error.args)) or 'no connection'}{hint}"
    if isinstance(error, OSError):
        return _of_system(error)
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _of_system(error: OSError) -> str:
    """Say what the system says: asyncio puts the address into the text, which stands in the message already."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def _who(kafka: KafkaConfig) -> str:
    """Name who we are to the brokers."""
    user = kafka.security.username
    return f"User:{user}" if user else "our principal"


def _names(error: BrokerResponseError) -> str:
    """Give the topics or groups that an error names."""
    named = [part for each in error.args for part in (each if _is_many(each) else [each])]
    return ", ".join(sorted({str(each) for each in named if each}))


def _is_many(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)
