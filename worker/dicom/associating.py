"""Connect to a department's PACS as the requestor of an association."""

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

#: Seconds to connect, to negotiate the association, and to wait for each response.
CONNECT_SECONDS, AGREE_SECONDS, ANSWER_SECONDS = 5, 10, 12


def associate(
    destination: Destination,
    requested: Mapping[UID, Sequence[UID]],
    offered: Iterable[tuple[str, str]] = (),
    handlers: Sequence[Any] = (),
) -> Association:
    """Open an association. It always includes C-ECHO.

    Args:
        destination: the PACS.
        requested: the transfer syntaxes for each SOP class that we use as the SCU.
        offered: SOP classes that the PACS may send us, each with one transfer syntax. With one syntax per presentation
            context, the PACS sends each image as it stores it.
        handlers: pynetdicom event handlers for what the PACS sends.

    Raises:
        NotDeliveredError: the association was not established. Nothing else should be sent to the PACS for now.
    """
    entity = AE(ae_title=destination.calling_ae)
    entity.connection_timeout, entity.acse_timeout = CONNECT_SECONDS, AGREE_SECONDS
    entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
    offers = list(offered)
    contexts = [
        build_context(VERIFICATION),
        *(build_context(uid, list(syntaxes)) for uid, syntaxes in requested.items()),
    ]
    contexts += [build_context(uid, syntax) for uid, syntax in offers]
    roles = [build_role(uid, scp_role=True) for uid in dict.fromkeys(uid for uid, _ in offers)]
    tls: Any = (_tls(), destination.host) if destination.tls else None
    try:
        association = entity.associate(
            destination.host,
            destination.port,
            contexts,
            destination.called_ae,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=list(handlers),
        )
    except (OSError, UnicodeError) as error:  # Python raises UnicodeError for some invalid names
        reason = f"the destination cannot be reached ({type(error).__name__})"
        raise NotDeliveredError(reason, unreachable=True) from None
    if association.is_established:
        return association
    if response := rejection(association):
        reason = f"the destination refuses the association ({response.reason_str})"
    else:
        reason = "the destination cannot be reached, or ends the association"
    raise NotDeliveredError(reason, unreachable=True)


def rejection(association: Association) -> A_ASSOCIATE | None:
    """The peer's A-ASSOCIATE response, if it rejects the association; otherwise None.

    pynetdicom checks the connection before it checks for a response. If the peer has already sent a rejection and the
    connection is closed by then, pynetdicom treats it as never connected and leaves the response unread.
    """
    response = association.acceptor.primitive or association.dul.receive_pdu()
    return response if isinstance(response, A_ASSOCIATE) and response.result else None


@cache
def _tls() -> ssl.SSLContext:
    """Trust the system's certificates, or those in the file that ``SSL_CERT_FILE`` names, such as a hospital's own."""
    return ssl.create_default_context()
