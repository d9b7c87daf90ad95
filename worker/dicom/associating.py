"""Connect to a department's PACS, as the one who asks."""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from webapp.dicom.models import Destination
from webapp.studies.outbox.services import NotDeliveredError
from worker.dicom.contexts import VERIFICATION

#: Seconds to connect, to agree on what is sent, and until each answer.
CONNECT_SECONDS, AGREE_SECONDS, ANSWER_SECONDS = 5, 10, 12


def associate(
    destination: Destination,
    asked: Mapping[UID, Sequence[UID]],
    offered: Iterable[tuple[str, str]] = (),
    handlers: Sequence[Any] = (),
) -> Association:
    """An association, in which C-ECHO is possible too.

    Args:
        destination: the PACS.
        asked: the transfer syntaxes of each class that we send or ask for.
        offered: classes that the PACS may send us by it, each with one transfer syntax: so it sends what it has as it
            is.
        handlers: pynetdicom's, for what the PACS sends.

    Raises:
        NotDeliveredError: there is none; then the PACS should be asked for nothing else now.
    """
    entity = AE(ae_title=destination.calling_ae)
    entity.connection_timeout, entity.acse_timeout = CONNECT_SECONDS, AGREE_SECONDS
    entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
    offers = list(offered)
    contexts = [build_context(VERIFICATION), *(build_context(uid, list(syntaxes)) for uid, syntaxes in asked.items())]
    contexts += [build_context(uid, syntax) for uid, syntax in offers]
    roles = [build_role(uid, scp_role=True) for uid in dict.fromkeys(uid for uid, _ in offers)]
    tls: Any = (_tls(), destination.host) if destination.tls else None
    try:
        made = entity.associate(
            destination.host,
            destination.port,
            contexts,
            destination.called_ae,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=list(handlers),
        )
    except OSError as error:
        reason = f"the destination cannot be reached ({type(error).__name__})"
        raise NotDeliveredError(reason, unreachable=True) from None
    if made.is_established:
        return made
    if answer := rejection(made):
        reason = f"the destination refuses the association ({answer.reason_str})"
    else:
        reason = "the destination cannot be reached, or ends the association"
    raise NotDeliveredError(reason, unreachable=True)


def rejection(made: Association) -> A_ASSOCIATE | None:
    """What the other side answered that rejects an association; None where it did not answer so.

    pynetdicom looks whether it is connected before it looks for the answer. Where the answer comes first, it has closed
    the connection already, takes it for one that was never made, and leaves the answer where it is.
    """
    answer = made.acceptor.primitive or made.dul.receive_pdu()
    return answer if isinstance(answer, A_ASSOCIATE) and answer.result else None


@cache
def _tls() -> ssl.SSLContext:
    """Certificates as the system has them, or the file that ``SSL_CERT_FILE`` names, such as a hospital's own."""
    return ssl.create_default_context()
