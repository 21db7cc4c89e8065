"""The state, in SQLite or PostgreSQL: the data model, its migrations, and one file of queries a noun.

Every query function takes the transaction first and returns plain frozen data.
"""

from sqlalchemy import Connection as Transaction

from digest.store.engine import Store

__all__ = ["Store", "Transaction"]
