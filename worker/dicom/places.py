"""How many senders may be connected at once, whichever of the listener's processes they are connected to."""

from multiprocessing import RawArray

from django.conf import settings


class Places:
    """The places of DICOM_ASSOCIATIONS, in memory that the processes share.

    Each writes only how many it holds itself, without a lock, which one that is killed might keep. Where two take the
    last place at the same moment, both may be refused.
    """

    def __init__(self, processes: int) -> None:
        self._held = RawArray("i", processes)
        self._connected = RawArray("i", processes)
        self.process = 0

    def take(self) -> bool:
        """Whether there was a place, which is this process' now."""
        self._held[self.process] += 1
        if sum(self._held) <= settings.DICOM_ASSOCIATIONS:
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        self._held[self.process] -= 1

    def note(self, connections: int) -> None:
        """Tell the other processes how many connections this one has."""
        self._connected[self.process] = connections

    def others_have_fewer(self) -> bool:
        """Whether another process has fewer connections."""
        return min(self._connected) < self._connected[self.process]

    def clear(self, process: int) -> None:
        """Give back what a process holds that has ended."""
        self._held[process] = self._connected[process] = 0
