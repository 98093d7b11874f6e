"""Records of leaves and nodes: whatever is in them comes back, however it looks when pickled."""

from __future__ import annotations

from typing import Any

from BTrees.IFBTree import IFBTree
from BTrees.IOBTree import IOBTree, IOBucket
from BTrees.OOBTree import OOBTree, OOBucket
from hypothesis import given
from hypothesis import strategies as st

from authdb.bulk import Ref, record
from authdb.nodes import is_node, last_child, leaf, loaded, loaded_leaf, loaded_node, node

#: Numbers and texts that look, when pickled, like what makes a reference of an oid, or its length.
NUMBERS = st.sampled_from([1, 3139, 0x0C43, 0x51860068, 0x0C430C43, 0x00680C43, 2**31 - 1])
TEXTS = st.sampled_from(["a", "C\x0c", "h\x00", "Q", "C\x08cBTrees", "\udc86Q", "é" * 40, "q\x00"])
OIDS = st.sampled_from([1, 0x430C, 0x68008651, 0x0C430C43, 0x4A68008651, 0x436800865143]) | (
    st.integers(0, 2**63)
)
PLAIN = st.one_of(
    NUMBERS, TEXTS, st.dictionaries(NUMBERS, NUMBERS, max_size=3), st.dictionaries(TEXTS, NUMBERS)
)
FOLLOWING = st.none() | OIDS


def _oid(number: int) -> bytes:
    return number.to_bytes(8, "big")


@given(
    keys=st.lists(NUMBERS, unique=True) | st.lists(TEXTS, unique=True),
    data=st.data(),
    following=FOLLOWING,
    only_oids=st.booleans(),
)
def test_a_leaf(
    keys: list[Any], data: st.DataObject, following: int | None, only_oids: bool
) -> None:
    """Values that are references, some or all, and others: read as ZODB's pickles are, and in the
    quick way, whoever pickled them."""
    kind = IOBucket if keys and type(keys[0]) is int else OOBucket
    drawn = OIDS.map(_oid) if only_oids else st.one_of(OIDS.map(_oid), PLAIN)
    items = tuple(each for key in keys for each in (key, data.draw(drawn)))
    after = None if following is None else _oid(following)
    made = leaf(kind, items, IFBTree, after)
    assert loaded(made) == ((items,) if after is None else (items, after))
    assert loaded_leaf(made, kind, IFBTree) == (items, after)
    by_bulk = tuple(
        Ref(int.from_bytes(each, "big"), IFBTree) if type(each) is bytes else each for each in items
    )
    state = (by_bulk,) if following is None else (by_bulk, Ref(following, kind))
    assert loaded_leaf(record(kind, state), kind, IFBTree) == (items, after)
    assert not is_node(made)


@given(keys=st.lists(TEXTS, min_size=1), data=st.data(), first=OIDS, is_high=st.booleans())
def test_a_node(keys: list[str], data: st.DataObject, first: int, is_high: bool) -> None:
    """Children, and the keys between them."""
    oids = [data.draw(OIDS) for _ in range(len(keys) + 1)]
    children: list[Any] = [_oid(oids[0])]
    for key, oid in zip(keys, oids[1:], strict=True):
        children += key, _oid(oid)
    made = node(OOBTree, OOBTree if is_high else OOBucket, tuple(children), _oid(first))
    assert loaded(made) == (tuple(children), _oid(first))
    assert is_node(made)
    assert loaded_node(made, OOBTree) == loaded(made)
    assert last_child(made, OOBTree) == children[-1]
    refs = (Ref(int.from_bytes(c, "big"), OOBucket) if type(c) is bytes else c for c in children)
    other = record(OOBTree, (tuple(refs), Ref(first, OOBucket)))
    assert loaded_node(other, OOBTree) == loaded(made)
    assert last_child(other, OOBTree) in (children[-1], None)


def test_the_class_of_what_is_referred_to() -> None:
    """It is named with each reference, as those who load the objects need it."""
    import pickle
    from io import BytesIO

    said: list[Any] = []

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, ref: Any) -> Any:
            said.append(ref)

    oids = [_oid(number) for number in (1, 2, 0x430C)]
    for made, classes in (
        (
            leaf(IOBucket, (1, oids[0], 2, {3: 4}, 5, oids[2]), IFBTree, oids[1]),
            [IFBTree, IFBTree, IOBucket],
        ),
        (node(IOBTree, IOBTree, (oids[0], 7, oids[1]), oids[2]), [IOBTree, IOBTree, IOBucket]),
        (node(IOBTree, IOBucket, (oids[0], 7, oids[1]), oids[0]), [IOBucket] * 3),
    ):
        unpickler = Unpickler(BytesIO(made))
        unpickler.load(), unpickler.load()
        assert [kind for _, kind in said] == classes
        said.clear()
