"""docs/operations.md names nothing that is not there."""

import re
from pathlib import Path

import yaml

from embedded.environment import fresh_environment, variables
from embedded.machine import Machine
from embedded.paths import CHECKOUT
from embedded.programs import plan
from resources.measurements.quantities import QUANTITIES
from stock_assets.definitions import build_defs
from tests.guide import COMMANDS, GUIDE, PROSE, SEEN, TYPED, anchors


def of_file(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def named(pattern: str, text: str = TYPED) -> set[str]:
    """All that the guide names by this pattern; it does name some."""
    found = set(re.findall(pattern, text))
    assert found, pattern
    return found


def test_there_is_every_make_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", of_file("Makefile"), re.MULTILINE))
    assert named(r"\bmake ([a-z-]+)") <= targets


def test_there_is_every_command_of_the_embedded_stack() -> None:
    commands = re.findall(r'add_parser\(\s*"([a-z]+)"', of_file("embedded/__main__.py"))
    assert named(r"-m embedded ([a-z]+)") <= set(commands)


def test_there_is_every_file() -> None:
    folders = "|".join(("sql", "deploy", "embedded", "resources", "docs", "examples"))
    for path in named(rf"(?<![\w/.])((?:{folders})/[\w./-]+|\w+\.(?:yaml|lock))"):
        assert (CHECKOUT / path).exists(), path
    files = {path.name for path in (CHECKOUT / "sql" / "operations").iterdir()}
    assert named(r"sql/operations/(\S+\.sql)") == files


def test_there_is_every_variable() -> None:
    known = set(variables(of_file(".env.example"))) | {"PGOPTIONS"}
    # SQL, and what Python calls a constant.
    known |= {"NOT", "POOL"}
    assert named(r"\b[A-Z]+(?:_[A-Z]+)+\b") <= known


def test_there_is_every_asset_and_program(tmp_path: Path) -> None:
    graph = build_defs().resolve_asset_graph()
    assets = {node.key.to_user_string() for node in graph.asset_nodes}
    assert named(r"--assets (\w+)") <= assets
    environment = fresh_environment(CHECKOUT, tmp_path, {})
    programs = plan(tmp_path, Path("/root"), environment, Machine(2**32, 2))
    names = {program.name for program in programs}
    assert named(r"\.local/log/([\w-]+)\.log", TYPED + SEEN) <= names
    assert named(r"supervisord\.conf restart ([\w-]+)") <= names


def test_there_is_every_number_it_looks_for() -> None:
    asked = "\n".join(command for command in COMMANDS if command.startswith("curl"))
    wanted = re.findall(r"\((\w+(?:\|\w+)+)\)(\w*)", asked)
    names = {
        f"{name}{ending}" for alternatives, ending in wanted for name in alternatives.split("|")
    }
    names |= named(r"grep '(\w+)\{", asked) | named(r"stock_assets_(\w+)\{", SEEN)
    assert names - {"problem"} <= QUANTITIES.keys()


def test_there_is_every_service() -> None:
    services = yaml.safe_load(of_file("docker-compose.yml"))["services"]
    pattern = r"docker compose (?:restart|logs --tail 50|exec(?: -\S+(?: PG\S+ \S+')?)?) ([\w-]+)"
    assert named(pattern) <= services.keys()


def test_every_link_leads_somewhere() -> None:
    for file, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PROSE):
        text = of_file(f"docs/{file}") if file else GUIDE
        assert not anchor or anchor in anchors(text), (file, anchor)


def test_its_table_of_alerts_is_that_of_the_rules() -> None:
    rules = yaml.safe_load(of_file("deploy/monitoring/rules.yml"))["groups"][0]["rules"]
    told = {}
    for names, severity, anchor in re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| (\w+) \| \[.*\]\(#(.*)\) \|$", GUIDE, re.MULTILINE
    ):
        told |= {name: (severity, anchor) for name in re.findall(r"\w+", names)}
    assert told == {
        rule["alert"]: (
            rule["labels"]["severity"],
            rule["annotations"]["runbook"].removeprefix("docs/operations.md#"),
        )
        for rule in rules
    }


def test_every_failure_says_what_is_seen_and_done() -> None:
    failures = re.split(r"^# When something fails$", GUIDE, flags=re.MULTILINE)[1]
    sections = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", failures, re.MULTILINE | re.DOTALL)
    titles = [title for title, _ in sections]
    assert titles[-1] == "In containers"
    assert len(titles) >= 9
    for title, text in sections[:-1]:
        places = [text.find(f"**{step}") for step in ("Symptom.", "Shown by", "Mended by")]
        assert places == sorted(places), title
        assert places[0] >= 0, title
        assert text.count("```text") >= 1, title
