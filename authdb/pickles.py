"""Pickles followed opcode by opcode, without unpickling: what would they have called?

A pickle is a program. It can name any function there is and have it called, and ZODB's records
are pickles. Here such programs are followed with `pickletools`, which calls nothing, and refused
unless they are of the kind that ZODB writes for the objects of authdb: a few classes by name, and
a few opcodes.

Those opcodes have no way to get at anything that can be called but by its name. BUILD is not
among them (it sets attributes, on classes too), nor what the protocols before 2 wrote as text,
and after 3 ZODB does not read. So what is allowed by name is all that can be called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from io import BytesIO
from typing import Any

__all__ = ["Global", "Refused", "class_of", "look_at_plain"]

#: The module and the name of a class or function.
Global = tuple[str, str]


class Refused(Exception):
    """What a pickle asks for, and does not get. Attribute: ``wanted`` (its name, or None)."""

    def __init__(self, reason: str, wanted: str | None = None) -> None:
        super().__init__(reason)
        self.wanted = wanted


def class_of(data: bytes, allowed: frozenset[Global], called: frozenset[Global]) -> Global:
    """The class of an object as ZODB stores it, after a look at all of its record.

    :param data: the record's two pickles, the class and the state
    :param allowed: what they may ask for
    :param called: those of them that a state may make instances of. The others have records of
        their own; calling a mapping over and over on the same large dict would fill the memory
    :raises Refused: they ask for more, or are not as ZODB writes them
    """
    pickles = _Pickles(data, allowed, called)
    found = pickles.follow()
    if not isinstance(found, tuple) or found in called:
        # ZODB would also import a class that is given as two texts.
        if len(pickles.texts) == 2:
            raise _would_run(pickles.texts)
        raise Refused("its class is not given as ZODB gives it")
    pickles.follow()
    pickles.end()
    return found


def look_at_plain(data: bytes) -> None:
    """Look at one pickle that may hold plain values only.

    :raises Refused: it asks for any class or function, or is not as ZODB writes them
    """
    pickles = _Pickles(data, frozenset(), frozenset())
    pickles.follow()
    pickles.end()


def _would_run(names: list[str]) -> Refused:
    # Whoever wrote it chose the names: they may be long, and hold what terminals obey.
    wanted = ascii(".".join(names))[1:-1]
    return Refused(f"it would run {wanted if len(wanted) <= 80 else wanted[:77] + '...'}", wanted)


# What is known of a value on the stack. A text is itself, a class its module and name, and any
# other value the depth to which tuples are nested in it; besides, there are:
_OID = object()  # eight bytes
_REFERENCE = object()  # a tuple of an oid and a class
_DICT = object()
_LIST = object()

#: Python hashes nested tuples by recursion without a limit: a million of them as a key of a dict
#: crash the process. Those that authdb stores nest five deep.
_DEEPEST = 50


class _Pickles:
    """The pickles of one record, one after the other; the second may use the memo of the first.

    The stack holds what is known of the values that unpickling would have there.
    """

    def __init__(self, data: bytes, allowed: frozenset[Global], called: frozenset[Global]) -> None:
        self.data = data
        self.allowed = allowed
        self.called = called
        self.file = BytesIO(data)
        self.memo: dict[int, Any] = {}
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.texts: list[str] = []  # the first two
        self.foreign: str | None = None  # an opcode that ZODB does not write

    def follow(self) -> Any:
        """What is known of the value of the next pickle."""
        self.stack, self.marks, self.texts = [], [], []
        try:
            for code, argument, position in pickletools.genops(self.file):
                step = _STEPS.get(code.name)
                if step is None:
                    self.foreign = self.foreign or code.name
                    step = _FOREIGN.get(code.name, _Pickles.refuse)
                step(self, argument, position or 0)
        except Refused:
            raise
        except Exception as error:  # what is malformed may raise anything
            raise Refused(f"it holds what is no pickle of ZODB's ({_words(error)})") from None
        return self.stack.pop()

    def end(self) -> None:
        """Nothing may follow the last pickle."""
        if self.file.tell() != len(self.data):
            raise Refused("it holds more than the pickles of an object")

    # -- what one opcode does; each takes its argument, and its position in the data ------------

    def refuse(self, argument: Any, position: int) -> None:
        raise Refused(f"it uses {self.foreign}, which ZODB does not write for what authdb stores")

    def instance(self, argument: Any, position: int) -> None:
        raise _would_run(self.names(position))

    def stacked(self, argument: None, position: int) -> None:
        names = self.stack[-2:]
        if len(names) == 2 and all(isinstance(name, str) for name in names):
            raise _would_run(names)
        raise Refused("it would run something whose name it works out")

    def registered(self, argument: int, position: int) -> None:
        raise _would_run([f"the registered extension {argument}"])

    def names(self, position: int) -> list[str]:
        """The two lines that follow an opcode; pickletools joins them by a space."""
        module = self.data.index(b"\n", position)
        name = self.data.index(b"\n", module + 1)
        lines = self.data[position + 1 : module], self.data[module + 1 : name]
        return [line.decode("utf-8", "backslashreplace") for line in lines]

    def named(self, argument: Any, position: int) -> None:
        module, name = self.names(position)
        if (module, name) not in self.allowed:
            raise _would_run([module, name])
        self.stack.append((module, name))

    def protocol(self, argument: int, position: int) -> None:
        if argument > 3:
            self.foreign = self.foreign or f"protocol {argument}"

    def atom(self, argument: Any, position: int) -> None:
        self.stack.append(0)

    def text(self, argument: str, position: int) -> None:
        if len(self.texts) < 2:
            self.texts.append(argument)
        self.stack.append(argument)

    def some_bytes(self, argument: bytes, position: int) -> None:
        self.stack.append(_OID if len(argument) == 8 else 0)

    def empty_dict(self, argument: None, position: int) -> None:
        self.stack.append(_DICT)

    def empty_list(self, argument: None, position: int) -> None:
        self.stack.append(_LIST)

    def mark(self, argument: None, position: int) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def join(self, members: list[Any]) -> None:
        """Push the tuple of ``members``."""
        depth = 1
        for member in members:
            if type(member) is int and member >= depth:
                depth = member + 1
        if depth > _DEEPEST:
            raise Refused(f"it nests tuples deeper than {_DEEPEST}")
        of_reference = len(members) == 2 and members[0] is _OID and isinstance(members[1], tuple)
        self.stack.append(_REFERENCE if of_reference else depth)

    def tuple(self, argument: None, position: int) -> None:
        self.join(self.since_mark())

    def last(self, count: int) -> list[Any]:
        found = [self.pop() for _ in range(count)]
        return found[::-1]

    def pop(self) -> Any:
        # Not what is below a mark: that is for whoever takes all since the mark.
        if self.marks and self.marks[-1] == len(self.stack):
            raise Refused("it takes from its stack what is not there")
        return self.stack.pop()

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2 or self.stack[-1] is not _DICT:
            raise Refused("it sets items of what is no dict")

    def append(self, items: list[Any]) -> None:
        if self.stack[-1] is not _LIST:
            raise Refused("it appends to what is no list")

    def call(self, argument: None, position: int) -> None:
        called, arguments = self.last(2)
        if called not in self.called or type(arguments) is not int or arguments < 1:
            raise Refused("it makes an instance of what has none inside a record")
        self.join([arguments])  # an instance can be a tuple

    def refer(self, argument: None, position: int) -> None:
        reference = self.pop()
        if reference is not _OID and reference is not _REFERENCE:
            raise Refused("it refers to an object in a way that is not used for authdb's")
        self.stack.append(0)

    def remember(self, argument: int, position: int) -> None:
        # An unpickler makes room for as many as the number says.
        if argument > len(self.data):
            raise Refused(f"it numbers a value {argument:,}")
        self.memo[argument] = self.stack[-1]

    def remember_next(self, argument: None, position: int) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def recall(self, argument: int, position: int) -> None:
        self.stack.append(self.memo[argument])

    def nothing(self, argument: Any, position: int) -> None:
        pass

    def stop(self, argument: None, position: int) -> None:
        if self.foreign:
            self.refuse(argument, position)
        if len(self.stack) != 1 or self.marks:
            raise Refused("it does not come to one value")


def _words(error: Exception) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return ascii(words)[1:-1][:80]


def _tuple_of(count: int) -> Callable[[_Pickles, Any, int], None]:
    return lambda pickles, argument, position: pickles.join(pickles.last(count))


_STEPS: dict[str, Callable[[_Pickles, Any, int], None]] = {
    "PROTO": _Pickles.protocol,
    "STOP": _Pickles.stop,
    "GLOBAL": _Pickles.named,
    "BINPERSID": _Pickles.refer,
    "REDUCE": _Pickles.call,
    "NEWOBJ": _Pickles.call,
    "BINUNICODE": _Pickles.text,
    "BINBYTES": _Pickles.some_bytes,
    "SHORT_BINBYTES": _Pickles.some_bytes,
    "EMPTY_DICT": _Pickles.empty_dict,
    "EMPTY_LIST": _Pickles.empty_list,
    "EMPTY_TUPLE": _tuple_of(0),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _Pickles.tuple,
    "MARK": _Pickles.mark,
    "SETITEM": lambda pickles, argument, position: pickles.set_items(pickles.last(2)),
    "SETITEMS": lambda pickles, argument, position: pickles.set_items(pickles.since_mark()),
    "APPEND": lambda pickles, argument, position: pickles.append(pickles.last(1)),
    "APPENDS": lambda pickles, argument, position: pickles.append(pickles.since_mark()),
    "BINPUT": _Pickles.remember,
    "LONG_BINPUT": _Pickles.remember,
    "BINGET": _Pickles.recall,
    "LONG_BINGET": _Pickles.recall,
    **dict.fromkeys(
        ("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        _Pickles.atom,
    ),
}

#: What is refused in any case, and followed only to say what it would run.
_FOREIGN: dict[str, Callable[[_Pickles, Any, int], None]] = {
    "INST": _Pickles.instance,
    "STACK_GLOBAL": _Pickles.stacked,
    "MEMOIZE": _Pickles.remember_next,
    "FRAME": _Pickles.nothing,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _Pickles.registered),
    **dict.fromkeys(("INT", "LONG", "LONG4", "FLOAT"), _Pickles.atom),
    "PUT": _Pickles.remember,
    "GET": _Pickles.recall,
    **dict.fromkeys(
        ("STRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
        _Pickles.text,
    ),
}
