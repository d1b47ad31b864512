"""Threads that are waited for, and whose failure is not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Workers:
    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def add(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as failure:
                self._failures.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Waits for all; raises the first failure."""
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
