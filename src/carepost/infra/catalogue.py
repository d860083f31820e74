"""What a database really holds, as text that can be compared line by line.

Promises
    Two databases with the same text have the same schemas, tables, columns, types, defaults, constraints, indexes,
    policies, functions, triggers, sequences, comments and grants, whatever the order they were made in.
    Nothing in it is data.

Used by the test that migrations and schema.sql agree, and by `doctor` to show what an operator changed by hand.
"""

import psycopg
from psycopg.conninfo import make_conninfo

from carepost.infra.sql import load_queries


async def catalogue(dsn: str) -> str:
    """The whole catalogue of one database, sorted, a line (or a function's text) for each thing."""
    found: list[str] = []
    async with await psycopg.AsyncConnection.connect(make_conninfo(dsn, application_name="carepost")) as connection:
        # Names in full, so that the text does not depend on who looks.
        await connection.execute("SET search_path = pg_catalog")
        for query in load_queries("carepost.infra", "catalogue.sql").values():
            cursor = await connection.execute(query)
            found += [str(row[0]) for row in await cursor.fetchall()]
    return "\n".join(sorted(found)) + "\n"
