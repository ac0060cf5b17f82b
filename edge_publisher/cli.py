"""The command `gleaner-edge`: run a device, simulate a fleet, check a bundle."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge_publisher.agent import Agent
from edge_publisher.directory import DirectorySensor
from edge_publisher.link import Link
from edge_publisher.model import Model
from edge_publisher.sensor import paced
from edge_publisher.settings import read_settings
from edge_publisher.simulation import fleet, fleet_settings
from edge_publisher.stop import Stop
from schemas import bundle
from schemas.errors import GleanerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 is fine, 2 an error told in one line."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    level = logging.DEBUG if chosen.verbose else logging.WARNING if chosen.quiet else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(message)s")
    try:
        chosen.command(chosen)
    except GleanerError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:  # the outermost rim
        logging.getLogger(__name__).debug("unexpected", exc_info=True)
        return _failed(f"unexpected {type(error).__name__}: {error}; --verbose shows where")
    return 0


def _failed(text: str) -> int:
    print(f"gleaner-edge: {text}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gleaner-edge", description=__doc__)
    talk = parser.add_mutually_exclusive_group()
    talk.add_argument("--verbose", action="store_true", help="tell everything, on stderr")
    talk.add_argument("--quiet", action="store_true", help="tell only what is wrong")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a device on a directory of samples, until Ctrl-C")
    run.add_argument("--config", type=Path, required=True, help="TOML file; its keys are in docs/device.md")
    run.set_defaults(command=_run)
    simulate = commands.add_parser("simulate", help="run a fleet of simulated devices in one process")
    simulate.add_argument("--config", type=Path, required=True, help="JSON file; its keys are in docs/device.md")
    simulate.set_defaults(command=_simulate)
    check = commands.add_parser("check-bundle", help="whether a model bundle runs here and fits its model")
    check.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder or tar")
    check.set_defaults(command=_check_bundle)
    return parser


def _run(chosen: argparse.Namespace) -> None:
    settings = read_settings(chosen.config)
    sensor = DirectorySensor(Path(settings.sensor.directory), repeat=settings.sensor.repeat)
    stop = _stop_on_signals()
    agent = Agent(
        device=settings.device,
        site=settings.site,
        model=Model(bundle.read(Path(settings.bundle))),
        folder=Path(settings.folder),
        link=Link(settings.device, settings.broker),
        sending=settings.sending,
        storage=settings.storage,
        attributes=settings.attributes,
    )
    with closing(agent):
        agent.run(paced(sensor, settings.sensor.rate_hz, stop), stop)


def _simulate(chosen: argparse.Namespace) -> None:
    fleet.run(fleet_settings.read(chosen.config), _stop_on_signals(), lambda line: print(json.dumps(line), flush=True))


def _check_bundle(chosen: argparse.Namespace) -> None:
    model = Model(bundle.read(chosen.bundle))
    manifest = model.manifest
    told = {
        "model": manifest.name,
        "version": manifest.version,
        "labels": len(manifest.labels),
        "codec": manifest.embedding_codec.value,
        "dims": model.dims,
    }
    print(json.dumps(told))


def _stop_on_signals() -> Stop:
    """What Ctrl-C or SIGTERM sets."""
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.set)
    return stop


if __name__ == "__main__":
    sys.exit(main())
