from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.join.identity import identity_of
from pipeline.model import EdgeRecord, GatewayRecord

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]

CONSUMER = {"consumer_id": "b32379d9", "consumer_name": "alice", "custom_id": "cust-alice"}
CREDENTIAL = {"credential_id": "4da65aae", "claim_subject": "s"}
CERTIFICATE = {"tls_client_verify": "0", "tls_client_dn": "CN=billing"}


@pytest.mark.parametrize(
    ("gateway", "edge_fields", "kind", "proof"),
    [
        ({**CONSUMER, **CREDENTIAL}, CERTIFICATE, "consumer", "kong.consumer"),
        (CREDENTIAL, CERTIFICATE, "credential", "kong.credential"),
        ({"claim_subject": "s"}, CERTIFICATE, "claim", "kong.claim"),
        ({}, CERTIFICATE, "mtls", "edge.mtls"),
        ({**CONSUMER, "anonymous": True}, CERTIFICATE, "mtls", "edge.mtls"),
        ({**CONSUMER, "anonymous": True}, {}, "anonymous", None),
        ({}, {}, "none", None),
    ],
)
def test_the_first_proof_that_applies_is_taken(
    edge: MakeEdge,
    attempt: MakeAttempt,
    gateway: dict[str, object],
    edge_fields: dict[str, object],
    kind: str,
    proof: str | None,
) -> None:
    identity = identity_of(edge(**edge_fields), attempt(**gateway))
    assert (identity.kind, identity.proof) == (kind, proof)


def test_a_certificate_that_did_not_verify_proves_nothing(edge: MakeEdge) -> None:
    assert identity_of(edge(tls_client_verify="18", tls_client_dn="CN=x"), None).kind == "none"


def test_the_anonymous_consumer_is_named_and_proves_nothing(attempt: MakeAttempt) -> None:
    identity = identity_of(None, attempt(**CONSUMER, anonymous=True))
    assert (identity.kind, identity.consumer_name, identity.proof) == ("anonymous", "alice", None)
