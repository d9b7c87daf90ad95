"""The message if an association with a destination fails."""

import pytest
from pynetdicom import evt

from tests.worker.results import pacs
from webapp.dicom.models import Destination
from webapp.studies.outbox.services import NotDeliveredError
from worker.dicom import associating


def test_a_host_that_is_not_a_valid_name_cannot_be_reached() -> None:
    destination = Destination(host="a..b", port=104, called_ae="PACS", calling_ae="PNEUMOQUEUE")
    with pytest.raises(NotDeliveredError, match="cannot be reached"):
        associating.associate(destination, {})


def test_a_refusal_that_comes_early_is_reported_as_a_refusal() -> None:
    def wait_for_the_answer(event: evt.Event) -> None:
        event.assoc.dul.join(10)  # ends with the connection

    with pacs.running(ae_title="ANOTHER") as other:
        destination = Destination(host="127.0.0.1", port=other.port, called_ae="PACS", calling_ae="PNEUMOQUEUE")
        with pytest.raises(NotDeliveredError, match=r"refuses the association \(Called AE title not recognised\)"):
            associating.associate(destination, {}, handlers=[(evt.EVT_REQUESTED, wait_for_the_answer)])
