"""The limit on senders that are connected at once, counted over all processes of the listener."""

from multiprocessing import RawArray

from django.conf import settings


class Places:
    """Counts associations against DICOM_ASSOCIATIONS, in memory that the processes share.

    Each process writes only its own number. There is no lock, because a killed process might never release it. If two
    processes take the last place at the same moment, both may be refused.
    """

    def __init__(self, processes: int) -> None:
        self._held = RawArray("i", processes)
        self._connected = RawArray("i", processes)
        self.process = 0

    def take(self) -> bool:
        """Take a place for this process; False if none is free."""
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
        """Free the places of a process that has ended."""
        self._held[process] = self._connected[process] = 0
