"""What is measured: every quantity by its name, with its unit and the labels of its values.

The statements in ``sql/monitoring`` give rows of a name from here, the labels' values and the
number. A name ends with its unit, as Prometheus has it; what only grows ends with ``_total``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """Something that can be measured."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    plotted: bool = True
    """Whether an asset's plots have it; what has a value per statement or pool is a table there."""

    @property
    def only_grows(self) -> bool:
        """Whether it counts from the start of what it counts, and never goes back."""
        return self.name.endswith("_total")


@dataclass(frozen=True)
class Measurement:
    """A number that was measured; ``labels`` are the values of the quantity's."""

    quantity: Quantity
    labels: tuple[str, ...]
    value: float

    @property
    def title(self) -> str:
        """Name and labels, for people."""
        return " ".join((self.quantity.name, *self.labels))


_OF_SERVER = ("server",)
_POOL = ("pooler", "database", "user", "state")
_STATEMENT = ("server", "statement")

QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity("up", "1: it was asked and answered; 0: it did not.", ("source",)),
        Quantity("chunks", "Chunks of a hypertable.", ("table",)),
        Quantity("compressed_chunks", "Those that are compressed.", ("table",)),
        Quantity(
            "partly_compressed_chunks", "Compressed, with rows beside since a load.", ("table",)
        ),
        Quantity("table_bytes", "Rows of a hypertable, or of an aggregate.", ("table",)),
        Quantity("index_bytes", "Its indexes.", ("table",)),
        Quantity("toast_bytes", "Its long values; compressed rows are such.", ("table",)),
        Quantity("before_compression_bytes", "Compressed chunks, before they were.", ("table",)),
        Quantity("after_compression_bytes", "Compressed chunks, as they are.", ("table",)),
        Quantity("compression_ratio", "How many times smaller they became.", ("table",)),
        Quantity("database_bytes", "A database on disk.", ("server", "database")),
        Quantity("log_bytes", "The server's write-ahead log on disk.", _OF_SERVER),
        Quantity("connections", "Connections of clients, by state.", ("server", "state")),
        Quantity("max_connections", "How many there may be.", _OF_SERVER),
        Quantity("cache_hits_total", "Blocks found in shared buffers.", _OF_SERVER),
        Quantity("cache_misses_total", "Blocks that were not.", _OF_SERVER),
        Quantity("cache_hit_ratio", "Share of blocks found in shared buffers.", _OF_SERVER),
        Quantity("deadlocks_total", "Deadlocks.", _OF_SERVER),
        Quantity(
            "temporary_bytes_total", "Written by sorts and hashes that lacked memory.", _OF_SERVER
        ),
        Quantity("lock_waits", "Connections that wait for a lock.", _OF_SERVER),
        Quantity("longest_transaction_seconds", "Age of the oldest transaction.", _OF_SERVER),
        Quantity("shared_memory_bytes", "What the server shares between connections.", _OF_SERVER),
        Quantity("clock_offset_seconds", "The server's clock minus ours.", _OF_SERVER),
        Quantity("statement_seconds_total", "Time of a slow statement.", _STATEMENT, False),
        Quantity("statement_calls_total", "Its calls.", _STATEMENT, False),
        Quantity("statement_mean_seconds", "Its time per call.", _STATEMENT, False),
        Quantity("pool_clients", "Clients of a pool: active, or waiting.", _POOL, False),
        Quantity("pool_servers", "Its connections to the server, by state.", _POOL, False),
        Quantity("clients_waiting", "Clients of a pooler that wait for a server.", ("pooler",)),
        Quantity("servers_in_use", "Its server connections that serve a client.", ("pooler",)),
        Quantity("longest_wait_seconds", "How long the first of them has waited.", ("pooler",)),
        Quantity("waited_seconds_total", "What clients have waited for servers.", ("pooler",)),
        Quantity("transactions_total", "Transactions through a pooler.", ("pooler",)),
        Quantity("received_bytes_total", "What clients sent through it.", ("pooler",)),
        Quantity("sent_bytes_total", "What it sent to clients.", ("pooler",)),
        Quantity("sessions_behind", "Sessions due, newer than the newest one there.", ("asset",)),
        Quantity("collected_unasked", "1: schedules are on from the start; 0: by choice."),
        Quantity("blocked_sessions", "Sessions with a failed rule of severity error.", ("asset",)),
        Quantity("failed_checks", "Failed rules of newest loads.", ("asset", "severity")),
        Quantity("event_log_bytes", "Dagster's event log, indexes included."),
        Quantity("event_log_rows", "Its rows, as the server's statistics have them."),
        Quantity("runs", "Dagster's runs, by status.", ("status",)),
        Quantity("machine_memory_bytes", "Memory of the machine.", ("state",)),
        Quantity("program_memory_bytes", "Memory of a program of the stack.", ("program",)),
        Quantity("disk_free_bytes", "Free on the disk of the data directory."),
        Quantity("disk_bytes", "Its size."),
    )
}
"""Every quantity by name."""
