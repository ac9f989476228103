"""Puts the aggregates in place, as the server's edition allows: the step after the migrations.

On TimescaleDB Community an aggregate becomes a continuous aggregate, on the Apache edition a
hypertable of the same columns. A fingerprint in its comment tells whether it is up to date; when
its definition or the edition changed it is made anew, empty, and its refreshes are forgotten, so
that they are all done again. ``python -m resources.deployment`` does it, as does ``make migrate``.
"""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from resources.aggregates import AGGREGATES, Aggregate, source_aggregate
from resources.databases import DatabaseError, MaintenanceLogin
from resources.edition import Edition, Server, read_server
from resources.statements import composed, statement

if TYPE_CHECKING:
    import psycopg

_KINDS = {Edition.COMMUNITY: "continuous_aggregate", Edition.APACHE: "hypertable"}


class DeploymentError(DatabaseError):
    """An aggregate is not in place, or must not be put in place; the text says what to do."""


class TimescaleMigrator(MaintenanceLogin):
    """Makes and drops what belongs to the collector's owner; straight to the server."""

    title = "TimescaleDB"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_SERVER_HOST",
        "port": "TIMESCALE_SERVER_PORT",
        "password": "COLLECTOR_MIGRATOR_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }
    tls_variables = {  # noqa: RUF012
        "sslmode": "TIMESCALE_SERVER_SSLMODE",
        "sslrootcert": "TIMESCALE_SERVER_SSLROOTCERT",
    }
    user: str = "collector_migrator"

    def _parameters(self) -> dict[str, Any]:
        # As for migrations: where nothing is said, demanded beyond this machine.
        demanded = "disable" if self.host in ("127.0.0.1", "localhost") else "require"
        default = None if os.environ.get("PGSSLMODE") else demanded
        return super()._parameters() | {"sslmode": self.sslmode or default}


@dataclass(frozen=True)
class Relation:
    """What the database holds under an aggregate's name; ``edition`` is None where it is neither
    a continuous aggregate nor a hypertable."""

    edition: Edition | None
    comment: str

    @property
    def fingerprint(self) -> str | None:
        """What the deployment that made it wrote down; None if it was made by something else."""
        found = re.search(r"\(definition ([0-9a-f]{12})\)$", self.comment)
        return found[1] if found else None


def fingerprint(aggregate: Aggregate, edition: Edition) -> str:
    """Changes with whatever makes the aggregate another one; comments and layout do not."""
    texts = (aggregate.definition, statement(f"deployment/{_KINDS[edition]}"))
    code = [" ".join(re.sub("--.*", "", text).split()) for text in texts]
    identity = repr((code, aggregate.key, aggregate.chunk_days))
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def changes(edition: Edition, found: Mapping[str, Relation]) -> dict[str, str]:
    """Aggregates to be made on a server of this edition that holds ``found``, and why; in the
    order of ``AGGREGATES``. Raises ``DeploymentError`` for a relation that is not ours."""
    reasons: dict[str, str] = {}
    for aggregate in AGGREGATES:
        relation = found.get(aggregate.name)
        if relation is None:
            reasons[aggregate.name] = "new"
        elif relation.edition is None or relation.fingerprint is None:
            raise DeploymentError(
                f"there is a {aggregate.name} already that this platform did not make: rename or "
                "drop it, then run make migrate again"
            )
        elif relation.edition is not edition:
            reasons[aggregate.name] = f"the server is now the {edition} edition"
        elif relation.fingerprint != fingerprint(aggregate, edition):
            reasons[aggregate.name] = "its definition changed"
        elif aggregate.source in reasons:
            reasons[aggregate.name] = f"{aggregate.source}, which it reads, is made anew"
    return reasons


def deploy(migrator: TimescaleMigrator, report: Callable[[str], None]) -> None:
    """Make what is missing or out of date, in one transaction, and ``report`` each thing done.

    Raises ``DeploymentError`` where that would lose sessions that cannot be refreshed any more,
    ``UnsupportedServerError`` and ``DatabaseError``.
    """
    with migrator.connect() as connection, connection.transaction():
        connection.execute(statement("deployment/lock"))
        server = read_server(connection)
        found = _find(connection)
        todo = changes(server.edition, found)
        there = [aggregate for aggregate in AGGREGATES if aggregate.name in todo.keys() & found]
        for aggregate in there:
            _keep_history(connection, aggregate, found[aggregate.name], todo)
        for aggregate in reversed(there):
            _drop(connection, aggregate, found[aggregate.name])
        for aggregate in AGGREGATES:
            if aggregate.name in todo:
                _create(connection, aggregate, server)
    for name, reason in todo.items():
        again = "; its sessions are refreshed again" if name in found else ""
        kind = _KINDS[server.edition].replace("_", " ")
        report(f"Deployed: {name} as a {kind} on {server} ({reason}{again})")


def require_deployed(connection: "psycopg.Connection") -> Server:
    """The server, if every aggregate is in place there as defined here. Raises
    ``DeploymentError`` or ``UnsupportedServerError`` if not."""
    server = read_server(connection)
    if todo := changes(server.edition, _find(connection)):
        missing = ", ".join(f"{name} ({reason})" for name, reason in todo.items())
        raise DeploymentError(
            f"aggregates are not in place as this version needs them: {missing}; run make migrate"
        )
    return server


def _find(connection: "psycopg.Connection") -> dict[str, Relation]:
    names = [aggregate.name for aggregate in AGGREGATES]
    rows = connection.execute(statement("deployment/find_relations"), [names]).fetchall()
    return {
        name: Relation(Edition(edition) if edition else None, comment)
        for name, edition, comment in rows
    }


def _keep_history(
    connection: "psycopg.Connection",
    aggregate: Aggregate,
    relation: Relation,
    todo: Mapping[str, str],
) -> None:
    """Raise unless every session of the aggregate can be made again from what stays."""
    from psycopg.sql import Identifier

    reads = aggregate
    while (source := source_aggregate(reads)) and source.name in todo:
        reads = source
    query = composed(
        "deployment/find_lost_sessions",
        name=Identifier(aggregate.name),
        source=Identifier(reads.source),
        source_time=Identifier(reads.source_time),
    )
    lost: list[date] = [session for (session,) in connection.execute(query, [reads.source])]
    if lost:
        drop = statement(f"deployment/drop_{_KINDS[relation.edition or Edition.APACHE]}")
        raise DeploymentError(
            f"{aggregate.name} must be made anew ({todo[aggregate.name]}), but {len(lost):,} of "
            f"its sessions ({lost[0]} to {lost[-1]}) cannot be: rows they were made of are no "
            f"longer in {reads.source}. Load those sessions of minute_bars again, or go back to "
            "what made it, or give its history up: "
            f"{drop.strip().format(name=aggregate.name)} CASCADE; then run make migrate again"
        )


def _drop(connection: "psycopg.Connection", aggregate: Aggregate, relation: Relation) -> None:
    from psycopg.sql import Identifier

    kind = _KINDS[relation.edition or Edition.APACHE]
    connection.execute(composed(f"deployment/drop_{kind}", name=Identifier(aggregate.name)))


def _create(connection: "psycopg.Connection", aggregate: Aggregate, server: Server) -> None:
    from psycopg.sql import SQL, Identifier, Literal

    mark = f"(definition {fingerprint(aggregate, server.edition)})"
    connection.execute(
        composed(
            f"deployment/{_KINDS[server.edition]}",
            name=Identifier(aggregate.name),
            literal=Literal(aggregate.name),
            definition=SQL(statement(f"aggregates/{aggregate.name}")),
            chunk_interval=SQL("INTERVAL {}").format(Literal(f"{aggregate.chunk_days} days")),
            key=SQL(", ").join(map(Identifier, aggregate.key)),
            comment=Literal(f"{aggregate.description} {mark}"),
        )
    )
    connection.execute(statement("deployment/forget_refreshes"), [aggregate.name])


def main() -> int:
    """Deploy where the environment's TIMESCALE_* variables lead; an expected error is one line."""
    try:
        deploy(TimescaleMigrator.from_environment(os.environ), print)
    except DatabaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"error: {error.args[0]} is not set (.env.example describes it)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
