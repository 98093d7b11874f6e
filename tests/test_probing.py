"""Keys looked for in the records of a tree."""

from __future__ import annotations

from pathlib import Path

import pytest
from BTrees.OOBTree import OOBTree
from hypothesis import given
from hypothesis import strategies as st

from authdb import AuthDB, Package
from authdb.bulk import Ref, record, tree
from authdb.grafting import Graft
from authdb.importing import load
from authdb.loaders import Loader
from authdb.probing import Probe
from authdb.storage import MyZODB

#: Of letters that are in no name of a class.
NAMES = st.text(st.sampled_from("vwyzé\udc80-"), min_size=2, max_size=6)


@given(
    before=st.sets(NAMES, max_size=400),
    more=st.sets(NAMES, max_size=200),
    asked=st.sets(NAMES, max_size=30),
    built=st.booleans(),
)
def test_any_names(before: set[str], more: set[str], asked: set[str], built: bool) -> None:
    """No key is missed, whoever wrote the records: ZODB, a tree built bottom-up, or a graft; and
    one that is not there is taken for one only if it is within another."""
    with MyZODB(None) as zodb:
        items = {name: len(name) for name in sorted(before)}
        graft = Graft(zodb)
        if built:
            oid = tree(graft, OOBTree, items.items()).oid
            zodb.dbroot["changed"] = True
            graft.put()
            zodb.connection.transaction_manager.commit()
            found = zodb.connection.get(oid.to_bytes(8, "big"))
        else:
            zodb.dbroot["tree"] = found = OOBTree(items)
            zodb.connection.transaction_manager.commit()
        graft = Graft(zodb)
        graft.merge(found._p_oid, OOBTree, dict.fromkeys(sorted(more), 1))
        graft.put()
        zodb.dbroot["changed"] = 2
        zodb.connection.transaction_manager.commit()
        probe, names = Probe(zodb, found), before | more
        assert all(map(probe.may_have, names))
        for name in asked - names:
            assert not probe.may_have(name) or any(name in other for other in names)


def test_out_of_order() -> None:
    """A node whose keys do not ascend is not believed: what it leads to may not be found."""
    with MyZODB(None) as zodb:
        zodb.dbroot["tree"] = found = OOBTree(
            {f"name {number:04}": number for number in range(500)}
        )
        zodb.connection.transaction_manager.commit()
        children, first = found.__getstate__()
        turned = [
            Ref(int.from_bytes(c._p_oid, "big"), type(c)) if n % 2 == 0 else c
            for n, c in enumerate(children)
        ]
        turned[1], turned[3] = turned[3], turned[1]
        graft = Graft(zodb)
        graft.write(
            found._p_oid,
            record(OOBTree, (tuple(turned), Ref(int.from_bytes(first._p_oid, "big"), type(first)))),
        )
        graft.put()
        zodb.dbroot["changed"] = True
        zodb.connection.transaction_manager.commit()
        with pytest.raises(ValueError, match="out of order"):
            Probe(zodb, found).may_have("name 0007")


def test_names_of_an_open_transaction(db: AuthDB, tmp_path: Path) -> None:
    """What a transaction has added, and what it has removed, is known to a dry run within it."""
    db.add(Package("old", "Old"))
    path = tmp_path / "some.ndjson"
    path.write_text('{"name": "old", "title": "A"}\n{"name": "new", "title": "B"}\n')
    with db.transaction():
        db.add(Package("new", "New"))
        db.remove("old")
        counts = load(db, [Loader(path)], dry_run=True)
        assert (counts.added, counts.changed) == (1, 1)
    assert load(db, [Loader(path)], dry_run=True) == counts
