"""Who made a request, and what proves it (design section 6)."""

from __future__ import annotations

from pipeline.model import EdgeRecord, GatewayRecord, Identity

_NONE = Identity()
_VERIFIED = "0"


def identity_of(edge: EdgeRecord | None, attempt: GatewayRecord | None) -> Identity:
    """Take the first proof that applies; what a client merely claims is never one.

    Args:
        edge: The edge record, for a client certificate that the edge verified.
        attempt: The attempt whose answer the client got, or the last one.
    """
    if attempt is not None:
        if attempt.consumer_id and not attempt.anonymous:
            return Identity(
                kind="consumer",
                consumer_id=attempt.consumer_id,
                consumer_name=attempt.consumer_name,
                custom_id=attempt.custom_id,
                credential_id=attempt.credential_id,
                subject=attempt.claim_subject,
                proof="kong.consumer",
            )
        if attempt.credential_id:
            return Identity(
                kind="credential",
                credential_id=attempt.credential_id,
                subject=attempt.claim_subject,
                proof="kong.credential",
            )
        if attempt.claim_subject:
            return Identity(kind="claim", subject=attempt.claim_subject, proof="kong.claim")
    if edge is not None and edge.tls_client_verify == _VERIFIED and edge.tls_client_dn:
        return Identity(kind="mtls", subject=edge.tls_client_dn, proof="edge.mtls")
    if attempt is not None and attempt.anonymous:
        return Identity(
            kind="anonymous", consumer_id=attempt.consumer_id, consumer_name=attempt.consumer_name
        )
    return _NONE
