"""Connecting to a dask cluster: workers of this machine, or a scheduler by its address.

Who answers there is asked before a client is made, within a time and until a cancel.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_structsr.engine.events import Cancel
from napari_structsr.errors import CancelError, ClusterError

if TYPE_CHECKING:
    from distributed import Client

_LOOK = 0.1  # seconds between looks at whether a call was cancelled


@contextmanager
def open_client(
    scheduler: str | None,
    workers: int | None,
    *,
    timeout: float | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Client]:
    """Connect to a scheduler, or start workers on this machine, until the block ends.

    Parameters
    ----------
    scheduler
        Address, such as "tcp://10.0.0.5:8786".
    workers
        Processes to start where no scheduler is named.
    timeout
        Seconds until nobody is said to answer; None takes those that dask is set to.
    cancel
        Looked at until somebody answers.

    Raises
    ------
    ClusterError
        If dask.distributed is missing, or nobody answers.
    CancelError
        If that was cancelled.
    """
    if importlib.util.find_spec("distributed") is None:
        raise ClusterError(
            "dask.distributed is missing; install it with "
            "pip install 'napari-structsr[cluster]'"
        )
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        # that a worker died or a line was lost, and what follows, is told by the run
        quiet = logging.getLogger("distributed")
        stack.callback(quiet.setLevel, quiet.level)
        quiet.setLevel(logging.CRITICAL)
        if scheduler is None:
            count = workers or 1
            threads = max(1, (os.cpu_count() or 1) // count)
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                # the estimate of a run is printed, and a worker that is killed at a
                # limit would be started over and over
                memory_limit=0,
                # nobody but this machine, and with a key nobody but this user
                dashboard_address="127.0.0.1:0",
                security=importlib.util.find_spec("cryptography") is not None or None,
                silence_logs=logging.CRITICAL,
                env={"OMP_NUM_THREADS": str(threads)},
            )
            address: Any = _enter(stack, cluster)
        else:
            address = scheduler
        try:
            if scheduler is not None:
                _wait_for_answer(scheduler, timeout, cancel)
            client = Client(address, set_as_default=False)
        except (OSError, TypeError, ValueError) as error:
            what = str(error) or type(error).__name__
            raise ClusterError(
                f"no scheduler answers at {scheduler} ({what}); start one with "
                "dask scheduler, and give the address that it prints"
            ) from error
        _enter(stack, client)
        if scheduler is None:
            client.register_worker_callbacks(_ignore_interrupts)
        yield client


def _wait_for_answer(
    address: str, timeout: float | None, cancel: Cancel | None
) -> None:
    """Return once a scheduler answers.

    `Client` waits for ever for a program that takes a call and says nothing, and keeps
    a thread where it fails.
    """
    from dask import config
    from dask.utils import parse_timedelta
    from distributed import Security
    from distributed.comm.core import connect

    if timeout is None:
        timeout = parse_timedelta(config.get("distributed.comm.timeouts.connect"))
    end = time.monotonic() + timeout

    async def ask() -> None:
        words = Security().get_connection_args("client")
        comm = await connect(address, timeout=timeout, deserialize=False, **words)
        await comm.write({"op": "identity", "reply": True})
        kind = (await comm.read()).get("type")
        await comm.close()
        if kind != "Scheduler":
            raise ValueError(f"a {kind} of dask answers")

    async def ask_in_time() -> None:
        asking = asyncio.ensure_future(ask())
        while not (await asyncio.wait([asking], timeout=_LOOK))[0]:
            if cancel:
                asking.cancel()
                raise CancelError("the run was cancelled")
            if time.monotonic() > end:
                asking.cancel()
                raise TimeoutError(f"nothing that dask says came in {timeout:g} s")
        try:
            asking.result()
        except (AttributeError, LookupError, MemoryError, struct.error) as error:
            # a greeting of something else, taken for lengths and parts of a message
            raise ValueError("who answers there is no dask") from error

    asyncio.run(ask_in_time())


def _enter(stack: ExitStack, opened: Any) -> Any:
    """Enter a cluster or a client, which may be slow to end when the stack does."""

    def leave(*error: Any) -> None:
        # what was computed is written by then: it has not failed, whoever is slow
        with suppress(TimeoutError):
            opened.__exit__(*error)

    found = opened.__enter__()
    stack.push(leave)
    return found


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
