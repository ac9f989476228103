"""Ten thousand partitions, all loaded twice: what is left of them after housekeeping, and what the
webserver says of them before and after."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import requests

from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.calendar import krx_calendar, seoul_now
from stock_assets.housekeeping import JOB
from stock_assets.record import Record, newest_records
from tests.integration.access import ask, eventually, login
from tests.pipeline.market import Market

ASSETS = ("symbols", "daily_bars", "minute_bars", "market_flows")
SESSIONS = [str(day) for day in krx_calendar().sessions if day < seoul_now().date()][-2_500:]
FAILED, COPIED = SESSIONS[-2:]
CHECKS = ("duplicates", "refused_rows")
Pages = tuple[Any, Any, Any]
SOME = [SESSIONS[0], SESSIONS[1_250], FAILED, COPIED]
PER_RUN = 250
# As the pages of an asset and of its checks ask.
ASSET_PAGES = """query ($keys: [AssetKeyInput!], $sessions: [String!]) {
    assetNodes(assetKeys: $keys) {
        assetKey { path }
        partitionStats { numMaterialized numFailed numMaterializing }
        assetPartitionStatuses {
            ... on TimePartitionStatuses { ranges { startKey endKey status } }
        }
        latestMaterializationByPartition(partitions: $sessions) {
            partition runId timestamp metadataEntries { label } tags { key value }
        }
        assetMaterializations(limit: 1) { partition runId }
        assetChecksOrError {
            ... on AssetChecks {
                checks { name executionForLatestMaterialization { status runId } }
            }
        }
    }
}"""
CHECK_PAGE = """query ($key: AssetKeyInput!, $name: String!) {
    assetNodeOrError(assetKey: $key) {
        ... on AssetNode {
            assetCheckOrError(checkName: $name) {
                ... on AssetCheck {
                    partitionStatuses {
                        ... on AssetCheckTimePartitionStatuses {
                            ranges { startKey endKey status }
                        }
                    }
                }
            }
        }
    }
}"""
RUNS_PAGE = """query {
    runsOrError(limit: 100) { ... on Runs { results { id status assets { key { path } } } } }
}"""


def copy(server: psycopg.Connection, run_id: str, days: int) -> None:
    """All sessions, loaded as the run loaded its one, so many days ago, by runs of 250 sessions."""
    about = {"run": run_id, "days": days, "sessions": SESSIONS, "copied": COPIED}
    for statement in _COPYING:
        server.execute(statement, {**about, "checks": [*CHECKS], "per_run": PER_RUN})


_COPYING = (
    """CREATE TEMPORARY TABLE loads AS
       SELECT n, session,
              md5(concat(%(run)s::text, %(days)s::text, n / %(per_run)s))::uuid::text AS run_id
       FROM unnest(%(sessions)s::text[]) WITH ORDINALITY AS listed (session, number),
            LATERAL (SELECT number::int - 1 AS n)""",
    # Of each session what is its own, of each run the rest.
    """CREATE TEMPORARY TABLE copies AS
       WITH own AS (
           SELECT id, dagster_event_type IN (
               'ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED', 'ASSET_CHECK_EVALUATION'
           ) AS of_session
           FROM event_logs
           WHERE run_id = %(run)s
             AND coalesce(dagster_event_type, '') <> 'ASSET_CHECK_EVALUATION_PLANNED'
             AND (
                 coalesce(dagster_event_type, '') <> 'ASSET_CHECK_EVALUATION'
                 OR id IN (
                     SELECT evaluation_event_storage_id FROM asset_check_executions
                     WHERE run_id = %(run)s AND check_name = ANY (%(checks)s)
                 )
             )
       )
       SELECT row_number() OVER (ORDER BY n / %(per_run)s, own.id, n) + (
                  SELECT coalesce(max(id), 0) FROM event_logs WHERE id < 1000000
              ) AS id,
              own.id AS original, loads.n, loads.session, loads.run_id
       FROM own JOIN loads ON own.of_session IS TRUE OR n %% %(per_run)s = 0""",
    "CREATE INDEX ON copies (original, session)",
    "ANALYZE copies",
    """INSERT INTO runs (
           run_id, snapshot_id, pipeline_name, mode, status, run_body, create_timestamp,
           update_timestamp, start_time, end_time
       )
       SELECT loads.run_id, snapshot_id, pipeline_name, mode, status,
              replace(run_body, runs.run_id, loads.run_id),
              create_timestamp - make_interval(days => %(days)s),
              update_timestamp - make_interval(days => %(days)s),
              start_time - %(days)s * 86400, end_time - %(days)s * 86400
       FROM runs, (SELECT DISTINCT run_id FROM loads) AS loads WHERE runs.run_id = %(run)s""",
    """INSERT INTO run_tags (run_id, key, value)
       SELECT loads.run_id, key, value FROM run_tags, (SELECT DISTINCT run_id FROM loads) AS loads
       WHERE run_tags.run_id = %(run)s""",
    """INSERT INTO event_logs (
           id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition
       )
       SELECT copies.id, copies.run_id,
              replace(replace(event, %(run)s, copies.run_id), %(copied)s, session),
              dagster_event_type, timestamp - make_interval(days => %(days)s), step_key, asset_key,
              CASE WHEN partition IS NOT NULL THEN session END
       FROM copies JOIN event_logs ON event_logs.id = original""",
    # A data version of its own for each, by which the newest can be told.
    """INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
       SELECT copies.id, asset_key, key, copies.id::text,
              event_timestamp - make_interval(days => %(days)s)
       FROM copies JOIN asset_event_tags ON event_id = original""",
    """INSERT INTO asset_check_executions (
           id, asset_key, check_name, partition, run_id, execution_status, evaluation_event,
           evaluation_event_timestamp, evaluation_event_storage_id,
           materialization_event_storage_id, create_timestamp
       )
       SELECT evaluated.id, asset_key, check_name, evaluated.session, evaluated.run_id,
              execution_status,
              replace(replace(evaluation_event, %(run)s, evaluated.run_id), %(copied)s,
                      evaluated.session),
              evaluation_event_timestamp - make_interval(days => %(days)s), evaluated.id,
              loaded.id, create_timestamp - make_interval(days => %(days)s)
       FROM asset_check_executions AS execution
       JOIN copies AS evaluated ON evaluated.original = evaluation_event_storage_id
       JOIN copies AS loaded
           ON loaded.original = materialization_event_storage_id
          AND loaded.session = evaluated.session
       WHERE execution.run_id = %(run)s AND check_name = ANY (%(checks)s)""",
    "DROP TABLE loads, copies",
)


@pytest.fixture
def server(stack: Stack, instance: dg.DagsterInstance) -> Iterator[psycopg.Connection]:
    """Dagster's database, as Dagster. What comes from now on is newer than all copies."""
    with login(stack, "postgres", autocommit=True) as connection:
        connection.execute("SELECT setval('event_logs_id_seq', 1000000)")
        connection.execute("SELECT setval('asset_check_executions_id_seq', 1000000)")
        yield connection


@pytest.fixture
def pages(
    stack: Stack, instance: dg.DagsterInstance, tmp_path: Path
) -> Iterator[Callable[[], Pages]]:
    """What the webserver says: of the assets, of sessions under a check, of the newest runs."""
    firsts = {f"{asset}_FIRST_SESSION".upper(): SESSIONS[0] for asset in ASSETS}
    port = stack.environment["DAGSTER_UI_PORT"]
    # fmt: off
    command = [
        sys.executable, "-P", "-m", "dagster_webserver", "--read-only", "--host", "127.0.0.1",
        "--port", port, "-m", "stock_assets.definitions",
    ]
    # fmt: on
    environment = {**os.environ, **stack.environment, **firsts, "DAGSTER_HOME": str(CHECKOUT)}

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "webserver.log").read_text()
        try:
            return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=10).ok
        except requests.RequestException:
            return False

    keys = [{"path": [asset]} for asset in ASSETS]
    with (
        (tmp_path / "webserver.log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            eventually(answers, 90)
            yield lambda: (
                ask(stack, ASSET_PAGES, keys=keys, sessions=SOME),
                ask(stack, CHECK_PAGE, key=keys[1], name=CHECKS[0]),
                ask(stack, RUNS_PAGE),
            )
        finally:
            process.terminate()


def newest(instance: dg.DagsterInstance) -> dict[str, dict[str, Record]]:
    return {asset: newest_records(instance, dg.AssetKey(asset)) for asset in ASSETS}


def test_ten_thousand_partitions_are_shown_as_before(instance, definitions, launch, server, pages):
    loaded = {asset: launch(Market(), asset, COPIED) for asset in ASSETS}
    failed = launch(Market([FAILED]), "daily_bars", FAILED)
    assert [run.success for run in (*loaded.values(), failed)] == [True] * 4 + [False]
    for days in (60, 40):
        for run in loaded.values():
            copy(server, run.run_id, days)
    # As autovacuum would have, in all those days.
    server.execute("ANALYZE")
    before, records = pages(), newest(instance)
    assert {asset: len(found) for asset, found in records.items()} == dict.fromkeys(ASSETS, 2_500)
    for node in before[0]:
        failures = int(node["assetKey"]["path"] == ["daily_bars"])
        assert node["partitionStats"] == {
            "numMaterialized": len(SESSIONS) - failures,
            "numFailed": failures,
            "numMaterializing": 0,
        }

    job = definitions(Market()).resolve_job_def(JOB)
    housekeeping = job.execute_in_process(instance=instance)

    assert newest(instance) == records
    # Of one asset anew, the others from what Dagster has cached: reckoning ten years takes seconds.
    instance.wipe_asset_cached_status([dg.AssetKey("daily_bars")])
    after = pages()
    assert after[:2] == before[:2]
    (runs_before, runs_after) = (
        {run["id"]: run for run in page[2]["results"]} for page in (before, after)
    )
    assert len(runs_before) == 80 + 5
    del runs_after[housekeeping.run_id]
    assert runs_after.items() <= runs_before.items()
    assert len(runs_after) == 40 + 5
    # The second load of all sessions but the one that was loaded a third time.
    seconds = len(ASSETS) * (len(SESSIONS) - 1)
    left = """SELECT dagster_event_type, count(*) FROM event_logs
              WHERE timestamp < now() - interval '30 days' GROUP BY 1"""
    assert dict(server.execute(left).fetchall()) == {
        "ASSET_MATERIALIZATION": seconds,
        "ASSET_CHECK_EVALUATION": seconds * len(CHECKS),
        "PIPELINE_START": 40,
        "PIPELINE_SUCCESS": 40,
    }
