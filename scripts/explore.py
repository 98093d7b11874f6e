"""Look around in a database, as one would in a shell: python scripts/explore.py DB"""

import argparse
import sys

from authdb import Any, AuthDB, AuthDBError, Contains, Ge, Lt, Not
from authdb.exceptions import DatabaseError
from authdb.models import CATEGORIES

parser = argparse.ArgumentParser(description="Look around in a database.")
parser.add_argument("db", metavar="DB", help="the folder of the database")
options = parser.parse_args()

# A comparison never matches a value that is not known; a negation matches all the others.
QUESTIONS = {
    "updated before 2020": Lt("last_update", "2020"),
    "OAuth and updated since 2024": Any("categories", ["oauth1", "oauth2"])
    & Ge("last_update", "2024"),
    "no release known": Not(Ge("last_release", "0001")),
    "about cookies": Contains("description", "cookie*"),
}
try:
    with AuthDB.open(options.db, read_only=True) as db:
        print(f"{len(db)} packages, as of {db.as_of or 'no day in particular'}")
        for category, meaning in CATEGORIES.items():
            print(f"{len(db.find(Any('categories', [category]))):>5}  {category}: {meaning}")
        print("the five oldest:")
        for package in db.find(sort="last_update", limit=5):
            print(f"  {package.last_update or 'unknown'!s:<10}  {package.name}")
        print("replaced:", ", ".join(f"{p.name} -> {p.replaced_by}" for p in db if p.replaced_by))
        for words, query in QUESTIONS.items():
            print(f"{words}:", ", ".join(db.find(query, sort="name").names()) or "none")
except AuthDBError as error:
    print(f"explore: {error}", file=sys.stderr)
    sys.exit(3 if isinstance(error, DatabaseError) else 2)
