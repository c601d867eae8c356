"""The tables of a history file, and how older ones become these.

A migration is a list of statements; the version of a file is how many migrations it has had. They are never changed,
only added to.
"""

from __future__ import annotations

APPLICATION_ID = 0x4C4C4849  # "LLHI": whose SQLite file this is

Migration = tuple[str, ...]

CHECKSUMS_SINCE = 2
"""The version whose files have the checksum of each run."""

ADDED_COLUMNS = frozenset({"latency_p50_low_ms", "latency_p50_high_ms"})
"""Columns of systems that older files lack, and that checksums leave out where they are empty."""

MIGRATIONS: tuple[Migration, ...] = (
    (
        """
        CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            recipe TEXT NOT NULL,
            status TEXT NOT NULL,
            started TEXT NOT NULL,
            seconds REAL NOT NULL,
            num_budgets INTEGER NOT NULL,
            problem TEXT,
            directory TEXT,
            lingolite TEXT NOT NULL,
            cpu TEXT NOT NULL,
            threads INTEGER NOT NULL,
            shipped TEXT,
            reference TEXT
        )
        """,
        """
        CREATE TABLE systems (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            position INTEGER NOT NULL,
            backend TEXT,
            format TEXT NOT NULL,
            scheme TEXT,
            digest TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            corpus TEXT,
            num_sentences INTEGER,
            latency_p50_ms REAL,
            latency_p95_ms REAL,
            tokens_per_second REAL,
            load_seconds REAL,
            peak_memory_mb REAL,
            PRIMARY KEY (run, name)
        )
        """,
        """
        CREATE TABLE scores (
            run TEXT NOT NULL,
            system TEXT NOT NULL,
            position INTEGER NOT NULL,
            metric TEXT NOT NULL,
            value REAL NOT NULL,
            low REAL,
            high REAL,
            signature TEXT NOT NULL,
            PRIMARY KEY (run, system, metric),
            FOREIGN KEY (run, system) REFERENCES systems (run, name) ON DELETE CASCADE
        )
        """,
        "CREATE INDEX runs_by_recipe ON runs (recipe, id)",
    ),
    ("ALTER TABLE runs ADD COLUMN checksum TEXT",),  # see `rows`, which fills it for the runs that are there
    (
        "ALTER TABLE systems ADD COLUMN latency_p50_low_ms REAL",
        "ALTER TABLE systems ADD COLUMN latency_p50_high_ms REAL",
    ),
)
