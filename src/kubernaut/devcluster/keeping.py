"""A journal in a SQLite file: what is stored outlives the process.

Every write is one transaction of the write-ahead log. It survives the death of the process at any moment; with the
power the last writes may go, as the file is not waited for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from .ledger import Change
from .objects import Object, from_json, to_json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT, namespace TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO versions VALUES (1, 0);
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)"
_DROP = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_FORMAT = 1


class SqliteJournal:
    """A `ledger.Journal`. One cluster may have the file at a time; close it when the cluster has ended."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.DatabaseError for what is no such file, OSError where it may not be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds secrets.
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, isolation_level=None)
        found = self._one("PRAGMA user_version")
        if found not in (0, _FORMAT):
            self.close()
            raise sqlite3.DatabaseError(f"{path} is of format {found}, and this program knows {_FORMAT} only")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)
        self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def close(self) -> None:
        self._database.close()

    def append(self, change: Change) -> None:
        place = (change.resource, *change.place)
        with closing(self._database.cursor()) as cursor:
            cursor.execute("BEGIN")
            if change.type == "DELETED":
                cursor.execute(_DROP, place)
            else:
                cursor.execute(_PUT, (*place, to_json(change.object)))
            cursor.execute("UPDATE versions SET last = ?", (change.version,))
            cursor.execute("COMMIT")

    def load(self) -> Iterable[tuple[str, Object]]:
        with closing(self._database.execute("SELECT resource, body FROM objects")) as rows:
            for resource, body in rows:
                yield resource, from_json(body)

    def last_version(self) -> int:
        return self._one("SELECT last FROM versions")

    def _one(self, question: str) -> int:
        with closing(self._database.execute(question)) as rows:
            return int(rows.fetchone()[0])
