"""What the Makefile calls: `python -m embedded up|down|status|migrate|rollback|reset|psql`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from embedded import migrations
from embedded.environment import ensure_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT, LOCAL
from embedded.stack import Stack


def main() -> int:
    """Run one command; expected errors are one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m embedded")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and make it ready for use")
    commands.add_parser("down", help="stop everything cleanly")
    commands.add_parser("environment", help="make or complete .env")
    commands.add_parser("status", help="show what runs where")
    commands.add_parser("migrate", help="apply pending migrations")
    rollback = commands.add_parser("rollback", help="undo a database's newest migration")
    rollback.add_argument("database", choices=sorted(migrations.TARGETS))
    commands.add_parser("reset", help="ask, then delete all data")
    renew = commands.add_parser("certificates", help="new certificates, also while servers run")
    renew.add_argument("--authority", action="store_true", help="by a new authority")
    psql = commands.add_parser("psql", help="psql as superuser")
    psql.add_argument(
        "server", nargs="?", choices=["timescaledb", "postgres"], default="timescaledb"
    )
    arguments = parser.parse_args()
    try:
        return int(_run(arguments) or 0)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `make down` stops what has been started", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace) -> int | None:
    # These two must work whatever .env says, or without it.
    if arguments.command == "down":
        return _down()
    if arguments.command == "reset":
        return _reset()
    environment = ensure_environment(CHECKOUT)
    if arguments.command == "environment":
        print(f"{CHECKOUT / '.env'} is complete")
    elif arguments.command == "migrate":
        print("\n".join(migrations.up(environment)) or "nothing to apply")
    elif arguments.command == "rollback":
        print(migrations.rollback(arguments.database, environment).rstrip())
    else:
        stack = Stack(LOCAL, environment)
        if arguments.command == "up":
            stack.start()
            _show(stack)
        elif arguments.command == "status":
            _show(stack)
        elif arguments.command == "certificates":
            _renew(stack, arguments.authority)
        elif arguments.command == "psql":
            _psql(stack, arguments.server)
    return None


def _down() -> int:
    if not Stack.stop_directory(LOCAL):
        print("nothing was running")
    else:
        print("stopped")
    return 0


def _reset() -> int:
    if not LOCAL.exists():
        print(f"there is nothing to delete: {LOCAL} does not exist")
        return 0
    print(
        f"This stops the servers and deletes all data in {LOCAL}. Continue? [y/N] ",
        end="",
        flush=True,
    )
    answer = sys.stdin.readline()
    if not sys.stdin.isatty():
        print()
    if answer.strip().lower() not in ("y", "yes"):
        print("nothing was deleted")
        return 0
    Stack.stop_directory(LOCAL)
    shutil.rmtree(LOCAL.resolve())
    # Who moved the data to a larger disk left a link here.
    LOCAL.unlink(missing_ok=True)
    print(f"deleted {LOCAL}")
    return 0


def _renew(stack: Stack, new_authority: bool) -> None:
    renewed = stack.renew_certificates(new_authority=new_authority)
    print(f"new certificates: {', '.join(server.name for server in renewed) or 'none'}")


def _psql(stack: Stack, server: str) -> None:
    database = stack.environment["TIMESCALE_DB" if server == "timescaledb" else "APP_DB_NAME"]
    if not stack.supervisor.is_running():
        raise StackError("the servers are not running: run make up")
    command, environment = stack.superuser(server).interactive(database)
    # PGOPTIONS: settings that must hold before the first command, as for an extension's update.
    environment |= {name: os.environ[name] for name in ("TERM", "PGOPTIONS") if name in os.environ}
    os.execvpe(command[0], command, environment)  # noqa: S606 - psql takes the terminal over


def _show(stack: Stack) -> None:
    states = stack.supervisor.states() if stack.supervisor.is_running() else {}
    rows = [("server", "address", "state", "log")]
    for program in stack.programs:
        state = states.get(program.name, "STOPPED").lower()
        rows.append((program.name, program.address, state, _relative(program.log)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True))
        print("  ".join(cells).rstrip())
    if states:
        print(f"\nDagster: http://127.0.0.1:{stack.environment['DAGSTER_UI_PORT']}")


def _relative(path: Path) -> str:
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


if __name__ == "__main__":
    # A reader of our output that goes away (`make up | head`) is no error of ours.
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
