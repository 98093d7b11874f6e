"""Print the packages last updated between two days, newest first.

python scripts/query_by_update.py DB SINCE UNTIL [CATEGORY]

python scripts/query_by_update.py my-list 2023 2024-02-26 oauth2
"""

import argparse
import sys

from authdb import Any, AuthDB, AuthDBError, InRange
from authdb.exceptions import DatabaseError

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("db", metavar="DB", help="the folder of the database")
parser.add_argument("since", metavar="SINCE", help="a day, a month or a year: 2023-12-01, 2023")
parser.add_argument("until", metavar="UNTIL", help="the same; its last day is included")
parser.add_argument("category", metavar="CATEGORY", nargs="?", help="such as oauth2 or jwt")
options = parser.parse_args()

query = InRange("last_update", options.since, options.until)
if options.category:
    query = query & Any("categories", [options.category])

try:
    with AuthDB.open(options.db, read_only=True) as db:
        for package in db.find(query, sort="last_update", reverse=True):
            print(f"{package.last_update!s:<10}  {package.name}: {package.title}")
except AuthDBError as error:
    print(f"query_by_update: {error}", file=sys.stderr)
    sys.exit(3 if isinstance(error, DatabaseError) else 2)
