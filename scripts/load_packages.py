"""Load files of packages into a database, which is made if need be.

python scripts/load_packages.py DB FILE...

Either everything in all files is loaded, or, if anything is wrong with any, nothing.
"""

import argparse
import sys

from authdb import AuthDB, AuthDBError
from authdb.exceptions import DatabaseError, DatabaseMissing
from authdb.importing import load
from authdb.loaders import Loader

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("db", metavar="DB", help="the folder of the database")
parser.add_argument("files", metavar="FILE", nargs="+", help="JSON, NDJSON, CSV, TOML, ...")
options = parser.parse_args()

try:
    loaders = [Loader(file) for file in options.files]
    try:
        db = AuthDB.open(options.db)
    except DatabaseMissing:
        db = AuthDB.create(options.db)
    with db:
        counts = load(db, loaders, on_conflict="update")
except AuthDBError as error:
    print(
        *(f"load_packages: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr
    )
    sys.exit(3 if isinstance(error, DatabaseError) else 2)
print(counts)
