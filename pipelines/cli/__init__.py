"""The command `gleaner`: data on stdout, talk on stderr; 0 fine, 1 a finding, 2 an error."""

import sys
from typing import Annotated

import typer

from pipelines.cli import demo, drift, look, read, replay, serve
from pipelines.cli.context import Context
from pipelines.models.cli import app as model_app
from schemas.errors import GleanerError

app = typer.Typer(
    name="gleaner",
    help="Find the few raw samples of a fleet that are worth a label, and say where its model stopped fitting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _module in (demo, serve, read, replay, look):
    for _command in _module.COMMANDS:
        app.command()(_command)
app.add_typer(model_app, name="model", help="Build, pack and show model bundles.")
app.add_typer(drift.app, name="drift")


@app.callback()
def _settings(
    context: typer.Context,
    config: Annotated[str | None, typer.Option(help="Settings file; by default gleaner.toml, if it is here.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, as drift.window=60; can be repeated.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more on stderr.")] = False,
) -> None:
    context.obj = Context(config, tuple(set_ or ()), verbose)


def main() -> None:
    """Run the command; an error is one clear line and exit status 2."""
    try:
        app()
    except GleanerError as error:
        sys.stderr.write(f"gleaner: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("gleaner: stopped\n")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # the outermost rim
        if "--verbose" in sys.argv:
            raise
        sys.stderr.write(f"gleaner: unexpected {type(error).__name__}: {error}; --verbose shows where\n")
        sys.exit(2)
