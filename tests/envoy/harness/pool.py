"""Envoys that one test leaves to the next: V8 compiles the module for seconds, once in each process."""

from __future__ import annotations

from .bootstrap import HOST, Setting
from .envoy import Envoy

KEPT = 4
"""How many idle Envoys are kept, of some 170 MB each."""


class Pool:
    """Lends Envoys, and keeps those that were used last."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._idle: list[Envoy] = []
        self._as_they_are: set[Envoy] = set()
        """What may be lent again without a change: this file's tests have used it."""

    def lend(self, setting: Setting) -> Envoy:
        """An Envoy of this setting: one that a test of this file has left, another one that becomes it, or a new one.

        Of the native host, which starts in no time, none becomes another: its configuration is the bootstrap's.
        """
        for envoy in self._idle:
            if envoy.setting == setting and envoy in self._as_they_are:
                self._idle.remove(envoy)
                return envoy
        if setting.ecds or setting.alone or HOST == "native":
            return Envoy(setting, self._ports)
        for envoy in self._idle:
            if _process(envoy.setting) == _process(setting):
                self._idle.remove(envoy)
                envoy.serve(setting)
                return envoy
        return Envoy(setting, self._ports, serves_others=True)

    def give_back(self, envoy: Envoy, lent_as: Setting) -> None:
        """Ends a loan. One whose filter the tests replace by themselves is not lent again, nor one that is measured."""
        if lent_as.ecds or lent_as.alone:
            envoy.stop()
            return
        self._idle.append(envoy)
        self._as_they_are.add(envoy)
        if len(self._idle) > KEPT:
            self._idle.pop(0).stop()

    def begin_file(self) -> None:
        """What the tests of other files have left is not lent without a change."""
        self._as_they_are.clear()
        if HOST == "native":
            self.stop()

    def stop(self) -> None:
        """Ends what is idle."""
        for envoy in self._idle:
            envoy.stop()
        self._idle.clear()


def _process(setting: Setting) -> tuple[int, dict[str, str]]:
    """What an Envoy can't change while it runs."""
    return setting.concurrency, setting.env
