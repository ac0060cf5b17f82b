"""Sources: workers leave together or not at all."""

import threading
import time

from pipelines.sources import Stopper


def left(stopper: Stopper, workers: int, late_s: float = 0.0) -> list[bool]:
    """What each of some workers is told, the last of which comes late."""
    told: list[bool] = []
    ready = threading.Barrier(workers)

    def work(number: int) -> None:
        stopper.joined()
        ready.wait()
        time.sleep(late_s if number == workers - 1 else 0)
        told.append(stopper.may_leave())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_one_worker_leaves_at_once() -> None:
    assert left(Stopper(), 1) == [True]


def test_workers_that_meet_leave_together() -> None:
    assert left(Stopper(), 4) == [True] * 4


def test_nobody_leaves_while_one_is_missing() -> None:
    assert not any(left(Stopper(), 3, late_s=1.0))


def test_a_new_flow_forgets_the_workers_of_the_last() -> None:
    stopper = Stopper()
    left(stopper, 2)
    stopper.begin()
    assert left(stopper, 1) == [True]
