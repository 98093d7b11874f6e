"""Nine cities in a ZODB, found by their population through repoze.catalog.

python examples/cities.py            in a temporary folder that is removed again
python examples/cities.py FOLDER     in a folder that stays; run it again on the same one

docs/tutorial.md walks through this file.
"""

import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import transaction
from BTrees.IOBTree import IOBTree
from persistent import Persistent
from repoze.catalog.catalog import ConnectionManager, FileStorageCatalogFactory
from repoze.catalog.indexes.field import CatalogFieldIndex
from repoze.catalog.query import InRange, Lt

from authdb import AuthDBError, MyZODB


class City(Persistent):
    """A city, and how many people live in it."""

    def __init__(self, cityname, citypop):
        self.cityname = cityname
        self.citypop = citypop

    def __str__(self):
        return f"{self.cityname:<12} {self.citypop:>10,}"


CITIES = [
    ("Windhoek", 322500),
    ("Pretoria", 525387),
    ("Nairobi", 3138295),
    ("Maputo", 1244227),
    ("Jakarta", 10187595),
    ("Canberra", 358222),
    ("Wellington", 393400),
    ("Santiago", 5428590),
    ("Buenos Aires", 2891082),
]


def load(root):
    """Put the cities under root["cities"], as docid -> City, unless they are there."""
    if "cities" in root:
        return 0
    cities = root["cities"] = IOBTree()
    for docid, (cityname, citypop) in enumerate(CITIES, start=1):
        cities[docid] = City(cityname, citypop)
    transaction.commit()
    return len(cities)


@contextmanager
def open_catalog(path):
    """The catalog in the file ``path``, and the manager that commits it."""
    factory = FileStorageCatalogFactory(str(path), "cities_catalog")
    manager = ConnectionManager()
    try:
        yield factory(manager), manager
    finally:
        transaction.abort()
        manager.close()
        factory.db.close()


def index(cities, catalog, manager):
    """Index every city by its population. Indexing it a second time changes nothing."""
    if "populations" not in catalog:
        catalog["populations"] = CatalogFieldIndex("citypop")
    for docid, city in cities.items():
        catalog.index_doc(docid, city)
    manager.commit()


def dump(cities):
    """Print all cities."""
    for docid, city in cities.items():
        print(docid, city)


def ask(cities, catalog, query):
    """Print what the catalog answers, and then the cities that it means."""
    count, docids = catalog.query(query)
    print()
    print(query)
    print(count, docids)
    for docid in docids:
        print(docid, cities[docid])


def run(folder):
    """Make both files in ``folder``, or open them, and ask two questions."""
    with (
        MyZODB(folder / "cities.fs") as zodb,
        open_catalog(folder / "cities_catalog.fs") as (catalog, manager),
    ):
        print("loaded", load(zodb.dbroot), "cities")
        cities = zodb.dbroot["cities"]
        index(cities, catalog, manager)
        dump(cities)
        ask(cities, catalog, Lt("populations", 1000000))
        ask(cities, catalog, InRange("populations", 1000000, 4000000))


def main():
    """Take the folder from the command line."""
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        run(folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))


if __name__ == "__main__":
    # The City of a running script is called __main__.City, which no other program could load.
    # Imported under the name of its file, it is cities.City.
    import cities

    try:
        cities.main()
    except (AuthDBError, OSError) as error:
        sys.exit(f"cities: {error}")
