import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ci_runs_every_command_of_the_readme():
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) > 5
    script = (ROOT / ".ci" / "run").read_text()
    ran = [line.removeprefix("echo y | ") for line in script.splitlines()]
    assert [command for command in commands if command not in ran] == []


def test_the_readme_names_the_ports_that_env_example_does():
    readme = (ROOT / "README.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for port, variable in re.findall(r"^\| (\d+) \|.*`([A-Z_]+)` \|$", readme, re.M):
        assert f"{variable}={port}\n" in example


def test_every_file_the_readme_shows_or_links_exists():
    readme = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert [link for link in links if not (ROOT / link).exists()] == []
