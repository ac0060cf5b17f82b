"""The documentation says what the code does: names, defaults, columns, options, examples and links."""

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from pydantic import BaseModel, SecretStr

from pipelines.cli import app
from pipelines.log import LogWriter, Message
from pipelines.progress import Progress
from pipelines.settings import Settings
from pipelines.views import connect, view_names
from schemas.embedding import Codec
from schemas.envelope import seal
from schemas.errors import Reason
from schemas.tables import TABLES
from schemas.topics import Up, parse_up
from schemas.wire import row_widths
from schemas.wire_pb2 import Hello, Inferences
from tests.factories import NOON, STREAM, header, payload
from tests.operators.references import small_reference
from tests.pipelines.commanding import ROOT, Gleaner
from tests.pipelines.lakes import alarm, inference, lake, sample, selection, start_of, verdict, window, word

DOCS = ROOT / "docs"
MINE = (
    "README",
    "commands",
    "dataflow",
    "drift",
    "drift-commands",
    "lake",
    "selection",
    "settings",
    "views",
    "wire-format",
)
PAGES = [
    *sorted(DOCS.glob("*.md")),
    *(path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if path.exists()),
]
NAME = re.compile(r"`([a-z][a-z0-9_]*)`")


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def cells(text: str) -> list[list[str]]:
    """The rows of all tables in a text, cell by cell, without headings and rules."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rules = [place for place, line in enumerate(text.splitlines()) if line.startswith("|---")]
    heads = [text.splitlines()[place - 1].strip("|").split(" | ") for place in rules]
    return [[cell.strip(" |") for cell in row] for row in lines if row not in heads]


def between(text: str, heading: str) -> str:
    """The section under a heading."""
    return re.split(r"^## ", text.split(f"## {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def defaults(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting and its value, durations as seconds."""
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield from defaults(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def test_settings_are_all_told_with_their_defaults_and_no_others() -> None:
    rows = [row for row in cells(page("settings")) if not row[0].startswith("**")]
    told = {
        row[0].strip("`"): None if row[1] == "none" else tomllib.loads(f"x = {row[1].strip('`')}")["x"] for row in rows
    }
    assert len(told) == len(rows)
    assert told == dict(defaults(Settings()))


def test_tables_are_all_told_with_their_columns_and_order_and_no_others() -> None:
    told = {
        row[0].strip("`"): tuple(tuple(NAME.findall(cell)) for cell in row[2:])
        for row in cells(between(page("lake"), "Tables").split("\nNo two rows")[0])
    }
    assert told == {name: (t.by, t.sort, tuple(t.file_schema.names)) for name, t in TABLES.items()}


def test_the_key_of_each_table_is_told() -> None:
    rows = cells(between(page("lake"), "Tables").split("\nNo two rows")[1])
    told = {name: tuple(NAME.findall(row[1])) for row in rows for name in NAME.findall(row[0])}
    assert told == {name: table.key for name, table in TABLES.items()}


def test_views_are_all_told_with_their_columns_and_no_others(tmp_path: Path) -> None:
    connection = connect(tmp_path)

    def columns(name: str) -> set[str]:
        return {row[0] for row in connection.execute(f"describe {name}").fetchall()}

    told = {row[0].strip("`"): row for row in cells(between(page("views"), "Views"))}
    assert set(told) == set(view_names()) - set(TABLES)
    for name, row in told.items():
        base = re.search(r"all columns of `(\w+)`(?: but `(\w+)`)?", row[1])
        inherited = columns(base[1]) - {base[2]} if base else set()
        assert inherited | set(NAME.findall(row[2] if len(row) > 2 else "")) == columns(name)


def test_columns_are_all_told_with_their_types_and_no_others(tmp_path: Path) -> None:
    connection = connect(tmp_path)
    types: dict[str, set[str]] = {}
    for table in TABLES:
        for name, kind, *_ in connection.execute(f"describe {table}").fetchall():
            types.setdefault(name, set()).add(kind)
    told: dict[str, str] = {}
    for row in cells(between(page("lake"), "Columns")):
        names, kinds = NAME.findall(row[0]), re.split(r", (?![^(]*\))", row[1])
        told |= dict(zip(names, kinds if len(kinds) > 1 else kinds * len(names), strict=True))
    assert set(told) == set(types)
    for name, kind in told.items():
        assert kind in types[name]
    assert {name for name, kinds in types.items() if len(kinds) > 1} == {"sample_bytes", "clock_off"}


def commands() -> dict[str, Any]:
    """Every command by its full name."""
    found: dict[str, Any] = {}

    def walk(prefix: str, command: Any) -> None:
        if getattr(command, "invoke_without_command", True):  # no group, or one that does something by itself
            found[prefix] = command
        for name, each in getattr(command, "commands", {}).items():
            walk(f"{prefix} {name}", each)

    walk("gleaner", typer.main.get_command(app))
    return found


def told_commands() -> str:
    """The pages on commands."""
    return f"{page('commands')}\n## On drift\n{page('drift-commands')}"


def test_commands_are_all_told_and_no_others() -> None:
    assert re.findall(r"^## (gleaner .*)$", told_commands(), re.MULTILINE) == list(commands())


@pytest.mark.parametrize("name", commands())
def test_the_options_of_a_command_are_all_told_and_no_others(name: str) -> None:
    section = between(told_commands(), name)
    options = {option for each in commands()[name].params for option in (*each.opts, *each.secondary_opts)}
    known = {option for option in options if option.startswith("--")} - {"--help"}
    told = set(re.findall(r"--[a-z][a-z-]*", section.split("```")[0]))
    assert told == known


@pytest.mark.parametrize("name", commands())
def test_the_defaults_of_a_command_are_the_ones_told(name: str) -> None:
    section = between(told_commands(), name).split("```")[0]
    for option, told in re.findall(r"`(--[a-z-]+) ([0-9a-z.]+)`", section):
        [default] = [str(each.default) for each in commands()[name].params if option in each.opts]
        assert default.removesuffix(".0") == told


def test_the_options_before_a_command_are_all_told() -> None:
    group = typer.main.get_command(app)
    for option in {option for each in group.params for option in each.opts} - {"--help"}:
        assert f"`{option}" in page("commands").split("\n## ")[0]


def test_reasons_are_all_told() -> None:
    assert set(map(str, Reason)) <= set(NAME.findall(page("wire-format")))


def test_the_columns_of_a_message_are_all_told_with_their_width() -> None:
    rows = {row[0].strip("`"): row[1] for row in cells(between(page("wire-format"), "Columns"))}
    packed = [field.name for field in Inferences.DESCRIPTOR.fields if 16 <= field.number < 31]
    assert list(rows) == packed
    fixed = dict(zip(packed, row_widths(1, Codec.I8, 1), strict=True))
    assert all(int(told) == fixed[name] for name, told in rows.items() if told.isdigit())


def test_every_page_is_in_the_index() -> None:
    assert set(re.findall(r"\((.*?\.md)\)", page("README"))) == {path.name for path in DOCS.glob("*.md")} - {
        "README.md"
    }


@pytest.mark.parametrize("name", MINE)
def test_a_page_is_short(name: str) -> None:
    assert len(page(name).splitlines()) < 120


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_settings_and_commands_that_pages_name_are_there(path: Path) -> None:
    text = path.read_text()
    known = dict(defaults(Settings()))
    sections = {key.partition(".")[0] for key in known} - {"data_dir"}
    for section, key in re.findall(r"`(\w+)\.(\w+)(?:=[^`]*)?`", text):
        assert section not in sections or key in ("py", "onnx") or f"{section}.{key}" in known, f"{section}.{key}"
    for words in re.findall(r"`gleaner ((?:model |drift )?[a-z]+)", text):
        assert f"gleaner {words}" in [*commands(), "gleaner model", "gleaner drift"], words


# examples


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which the examples of the pages can be followed."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "gleaner-data"
    rows = {
        "inferences": [inference(seq) for seq in range(6)],
        "windows": [window(place) for place in range(3)],
        "drift": [verdict(place) for place in range(3)],
        "alarms": [alarm(1, "cleared", cleared_at=start_of(3))],
        "feedback": [word(1), word(2, "corrected", class_id=5)],
        "samples": [sample(1)],
        "selections": [
            selection("a", "delivered", NOON, strategy="control", probability=0.5),
            selection("b", "delivered", NOON, strategy="control", probability=0.25, seq=2),
        ],
    }
    (tmp_path / "lake").symlink_to(lake(data, rows))
    with LogWriter(data / "log", 1) as writer:
        writer.append([Message("odd", b"")], NOON)
    Progress(data).published(0, 1)
    (tmp_path / "hello.bin").write_bytes(seal(Hello(schema=1, stream=STREAM, site="north", agent="0.1.0")))
    (tmp_path / "message.bin").write_bytes(payload(header(count=1)))
    return tmp_path


@pytest.mark.parametrize(("name", "query"), [(name, query) for name in MINE for query in blocks(name, "sql")])
def test_sql_in_a_page_runs(name: str, query: str, world: Path) -> None:
    assert connect(world / "lake").execute(query).fetchall()


def test_the_estimate_of_the_control_share_is_that_of_horvitz_and_thompson(world: Path) -> None:
    [query] = blocks("selection", "sql")
    assert connect(world / "lake").execute(query.replace("class_id <> 4", "seq = 2")).fetchall() == [(4 / 6,)]


@pytest.mark.parametrize(("name", "code"), [(name, code) for name in MINE for code in blocks(name, "python")])
def test_python_in_a_page_runs(name: str, code: str, world: Path) -> None:
    ast.parse(code)
    names: dict[str, Any] = {"reference": small_reference()} if name == "drift" else {}
    exec(compile(code, f"{name}.md", "exec"), names)
    if "embeddings" in names:
        assert np.array_equal(names["embeddings"], np.tile([0.5, 1.0], (6, 1)))


def test_the_statistics_in_the_page_on_drift_are_those_that_are_watched() -> None:
    told = {name for row in cells(between(page("drift"), "What is watched")) for name in NAME.findall(row[0])}
    watched = {re.sub(r"_\d+$", "_1", feature.name) for feature in small_reference().scale.features}
    assert told == watched | {"silence"}


def examples() -> list[tuple[str, str, str]]:
    """Page, command and what it is said to print, of all examples that read."""
    found = []
    for name in MINE:
        for block in blocks(name, "console"):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                if command.startswith("gleaner "):
                    found.append((name, command, output))
    return found


@pytest.mark.parametrize(("name", "command", "output"), examples())
def test_an_example_does_and_prints_what_the_page_says(
    name: str, command: str, output: str, world: Path, gleaner: Gleaner
) -> None:
    done = gleaner(*shlex.split(command)[1:])
    assert done.status == 0, done.err
    shown, cut, _ = output.partition("…")
    assert done.out.startswith(shown) if cut else output in ("", done.out)


def test_json_by_hand_is_read_as_the_page_says(gleaner: Gleaner) -> None:
    [block] = [block for block in blocks("wire-format", "console") if "mosquitto_pub" in block]
    words = shlex.split(block.removeprefix("$ "))
    topic, message = words[words.index("-t") + 1], words[words.index("-m") + 1]
    done = gleaner("decode", "-", "--kind", topic.rpartition("/")[2], stdin=message.encode())
    assert json.loads(done.out)["gaps"] == [{"first_seq": "5", "last_seq": "9", "reason": "outbox_full"}]
    assert parse_up(topic).kind is Up.GAPS
