"""Makes the clients of one installation: each with a company's token, a session of its own, and the company's pace.

Flows in    an environment; a realm id and a way to its access token
Flows out   ``QboClient``

Intuit's limits hold per company, so all clients of a company share a throttle. A QuickBooks on this machine has no
limits to respect: whoever switches its throttle on gets its 429, and the pause that follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from qbo_pipeline.qbo.client import Call, QboClient
from qbo_pipeline.qbo.environments import Environment
from qbo_pipeline.qbo.throttle import LOCAL, SHARED, Throttle
from qbo_pipeline.qbo.transport import new_session


@dataclass(frozen=True, slots=True)
class Waiting:
    """How clients tell time and let it pass, in seconds."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def is_real(self) -> bool:
        """Say whether waiting takes time."""
        return self.sleep is time.sleep


class Clients:
    """Makes clients for companies of one environment."""

    def __init__(self, environment: Environment, waiting: Waiting | None = None) -> None:
        self._environment = environment
        self._waiting = waiting or Waiting()

    def of(
        self,
        realm_id: str,
        access_token: Callable[[str | None], str],
        on_call: Callable[[Call], None] = lambda _: None,
    ) -> QboClient:
        """Return a client of one company; ``access_token`` is given the token that was refused, if one was."""
        return QboClient(
            self._environment,
            realm_id,
            access_token=access_token,
            session=new_session(),
            throttle=self._throttle(realm_id),
            on_call=on_call,
            sleep=self._waiting.sleep,
            clock=self._waiting.clock,
        )

    def _throttle(self, realm_id: str) -> Throttle:
        if not self._waiting.is_real:  # a time of its own shares no starts with anybody
            return Throttle(sleep=self._waiting.sleep, clock=self._waiting.clock)
        return (LOCAL if self._environment.is_local else SHARED).of(realm_id)
