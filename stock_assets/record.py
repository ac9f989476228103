"""What Dagster's record says of a committed session.

Each commit is a version of its session's data: its id in the ledger is the record's data version,
by which the two can be compared (``healing``).
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import cast

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential_jitter

from resources.ledger import Commit
from stock_assets.tables import refused_by_reason

# Dagster would record every partition of the range once more when the step ends: sessions that
# were not loaded too, and the others without their counts. Output that carries this mark records
# nothing and still lets downstream assets of the run go on. It is Dagster's own and private; a
# pipeline test fails should it change its meaning.
ALREADY_RECORDED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}

_Value = dg.MetadataValue | int | float | str | bool | list[str]


def materialization(
    asset_key: dg.AssetKey, commit: Commit, metadata: Mapping[str, _Value]
) -> dg.AssetMaterialization:
    """The event that records ``commit``; ``metadata`` comes on top of what every record says."""
    said: dict[str, _Value] = {
        "dagster/partition_row_count": commit.loaded,
        "rows_replaced": commit.replaced,
        "rows_quarantined": commit.quarantined,
        "source": commit.source,
        "simulated": commit.simulated,
        "provisional": commit.provisional,
        "checksum": f"{commit.checksum & (2**64 - 1):016x}",
    }
    said |= refused_by_reason(commit.refused)
    if commit.symbols is not None:
        said["symbols"] = list(commit.symbols)
    return dg.AssetMaterialization(
        asset_key,
        partition=str(commit.session),
        metadata={**said, **metadata},
        tags={DATA_VERSION_TAG: str(commit.id)},
    )


def _storage_unavailable(error: BaseException) -> bool:
    """Whether Dagster's own database did not answer, or went away in mid-work."""
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError

    return isinstance(error, DBAPIError | DagsterPostgresException)


@retry(
    retry=retry_if_exception(_storage_unavailable),
    stop=stop_after_delay(120),
    wait=wait_exponential_jitter(multiplier=0.5, max=5),
    reraise=True,
)
def record(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    *events: dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation,
    say: Callable[[], None] | None = None,
) -> None:
    """Record events at once, all or none, and with them what ``say`` writes to the run's log;
    Dagster's own database may be restarting meanwhile."""
    from resources.dagster_storage import EventLog

    storage = context.instance.event_log_storage
    with storage.together() if isinstance(storage, EventLog) else nullcontext():
        for event in events:
            # Evaluations of checks too, whatever its annotation says.
            context.log_event(cast("dg.AssetObservation", event))
        if say is not None:
            say()


@dataclass(frozen=True)
class Record:
    """The newest record that Dagster has of a partition."""

    event: int
    commit: str | None
    """Id in the ledger; None where it names none, as when somebody reported it by hand."""


def newest_records(instance: dg.DagsterInstance, asset_key: dg.AssetKey) -> dict[str, Record]:
    """The newest record of every partition that has one."""
    kind, storage = dg.DagsterEventType.ASSET_MATERIALIZATION, instance.event_log_storage
    # Read first: a record that comes in between must not lend its commit to an older one.
    versions = storage.get_latest_tags_by_partition(asset_key, kind, tag_keys=[DATA_VERSION_TAG])
    events = storage.get_latest_storage_id_by_partition(asset_key, kind)
    return {
        partition: Record(event, versions.get(partition, {}).get(DATA_VERSION_TAG))
        for partition, event in events.items()
    }
