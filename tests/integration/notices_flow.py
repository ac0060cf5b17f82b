"""A dataflow that makes notices, to be killed; its arguments are FOLDER URL PORT LIFE END."""

import sys
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from pipelines.commands import MqttCommands
from pipelines.healing import Healing
from pipelines.notifier import Notifier
from pipelines.notifying import NoticeSink
from pipelines.settings import Alarms, Mqtt
from pipelines.sources import Stopper
from pipelines.targets import targets_of
from tests.pipelines.counting import Numbers
from tests.pipelines.test_notifying import notice

SILENT_END = 200
"""Numbers at the end that tell nothing, and give time to what is still to be told."""


def main(folder: Path, url: str, port: int, life: int, end: int) -> None:
    commands = MqttCommands(Mqtt(port=port))
    notifier = Notifier(targets_of(Alarms(webhook=url), commands))
    flow = Dataflow("notices")
    numbers = op.input("numbers", flow, Numbers(end + SILENT_END, pause_s=0.005))
    made = op.map("make", numbers, lambda n: ("000", (notice(n, life),) if n < end else ()))
    op.output("people", made, NoticeSink(notifier, 1, Healing(folder / "healing"), Stopper()))
    cluster_main(flow, [], 0, epoch_interval=timedelta(milliseconds=20), recovery_config=RecoveryConfig(folder / "db"))
    notifier.close(20)
    commands.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6]))
