"""A query as text, read into repoze.catalog's query objects.

The text is the syntax of repoze.catalog's own string queries, a subset of Python's expressions::

    last_update < '2020' and 'oauth2' in categories
    '2019' <= last_update < '2024-03'
    categories in any(['jwt', 'token']) and not (license == 'MIT')

It is parsed, never evaluated, and bounded in length and depth. repoze.catalog 0.9.0 brings a
parser too; on Python 3.8 and later it cannot read literals, and it lets through what is no query.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any

from repoze.catalog import query as rq

from authdb.exceptions import QueryError

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "parse"]

#: The longest text that is read, in characters. Longer lists of values belong into ``names``.
MAX_LENGTH = 10_000
#: How deep parentheses, ``not`` and the like may be nested, here and in query objects.
MAX_DEPTH = 100

_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Eq: rq.Eq,
    ast.NotEq: rq.NotEq,
    ast.Lt: rq.Lt,
    ast.LtE: rq.Le,
    ast.Gt: rq.Gt,
    ast.GtE: rq.Ge,
}
_HELP = "a query looks like: last_update < '2020' and 'oauth2' in categories"


def parse(text: str, names: Mapping[str, Any] | None = None) -> Any:
    """Read ``text`` into a tree of query objects.

    :param text: the query
    :param names: values for the bare names in the text, which is the safe way to pass what
        comes from outside; with None they stay `repoze.catalog.query.Name` objects, to be
        given when the query is run
    :raises QueryError: with the position of the mistake

    >>> print(parse("last_update < limit", {"limit": "2020"}))
    last_update < '2020'
    """
    if not isinstance(text, str):
        raise QueryError(f"a query is text or a query object, not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise QueryError(
            f"the query has {len(text)} characters, {MAX_LENGTH} at most: pass long lists of "
            "values with names="
        )
    stripped = text.strip()
    if not stripped:
        raise QueryError(f"the query is empty; {_HELP}", text, 0)
    reader = _Reader(stripped, text, len(text) - len(text.lstrip()), names)
    return reader.read()


class _Reader:
    """Walks Python's syntax tree of one query."""

    def __init__(
        self, source: str, text: str, indent: int, names: Mapping[str, Any] | None
    ) -> None:
        self.source = source
        self.text = text  # as given, for the error's excerpt
        self.indent = indent
        self.names = names
        # As Python counts lines, which str.splitlines does not.
        self.lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", source)

    def read(self) -> Any:
        tree = self._syntax_tree()
        return simplify(self.query(tree, 0))

    def _syntax_tree(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as "invalid escape sequence"
                return ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            offset = None
            if error.lineno is not None and error.offset is not None:
                before = sum(len(line) for line in self.lines[: error.lineno - 1])
                # Python gives 0 for a text that ends too early.
                end = len(self.source)
                offset = self.indent + min(before + (error.offset or end + 1) - 1, end)
            reason = str(error.msg)
            if "leading zeros" in reason:
                reason = "a date stands in quotes, as in '2024-02-26'"
            elif "digits" in reason:
                reason = "a number with too many digits"
            raise QueryError(f"{reason}; {_HELP}", self.text, offset) from None
        except UnicodeEncodeError as error:
            where = self.indent + error.start
            raise QueryError(
                "it has a character that is none (half of one, or not UTF-8)", self.text, where
            ) from None
        except (ValueError, RecursionError, MemoryError, OverflowError) as error:
            reason = "a NUL character" if isinstance(error, ValueError) else "nested too deeply"
            raise QueryError(f"the query cannot be read: {reason}", self.text, 0) from None

    def position(self, node: ast.AST) -> int:
        """The offset of ``node`` in the text; Python counts columns in UTF-8 bytes."""
        line = self.lines[getattr(node, "lineno", 1) - 1]
        column = len(line.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
        before = sum(len(text) for text in self.lines[: getattr(node, "lineno", 1) - 1])
        return self.indent + before + column

    def error(self, node: ast.AST, reason: str) -> QueryError:
        return QueryError(reason, self.text, self.position(node))

    # -- queries -----------------------------------------------------------------------------

    def query(self, node: ast.expr, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise self.error(node, f"nested more than {MAX_DEPTH} deep")
        if isinstance(node, ast.BoolOp):
            combine = rq.And if isinstance(node.op, ast.And) else rq.Or
            return combine(*[self.query(value, depth + 1) for value in node.values])
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            combine = rq.And if isinstance(node.op, ast.BitAnd) else rq.Or
            return combine(*[self.query(side, depth + 1) for side in self._operands(node)])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return rq.Not(self.query(node.operand, depth + 1))
        if isinstance(node, ast.Compare):
            comparison = self.comparison(node)
            comparison.origin = (self.text, self.position(node))
            return comparison
        raise self.error(node, f"this is not a comparison; {_HELP}")

    def _operands(self, node: ast.BinOp) -> list[ast.expr]:
        """``a | b | c`` is nested to the left, as deep as it is long; here it is flat."""
        operator, operands = type(node.op), [node.right]
        left = node.left
        while isinstance(left, ast.BinOp) and type(left.op) is operator:
            operands.append(left.right)
            left = left.left
        return [left, *reversed(operands)]

    def comparison(self, node: ast.Compare) -> Any:
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.BinOp) and isinstance(side.op, (ast.BitAnd, ast.BitOr)):
                raise self.error(
                    side, "write 'and' and 'or' between comparisons, or put each in parentheses"
                )
        if len(node.ops) == 2:
            return self.chain(node)
        if len(node.ops) != 1:
            raise self.error(node, "at most two comparisons can be chained, as in 1 < a < 2")
        left, operator, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(operator, (ast.In, ast.NotIn)):
            return self.membership(left, isinstance(operator, ast.NotIn), right)
        compare = _COMPARISONS.get(type(operator))
        if compare is None:
            raise self.error(node, "the comparisons are ==, !=, <, <=, >, >=, in and not in")
        if not isinstance(left, (ast.Name, ast.Attribute)):
            raise self.error(
                left, "the name of an index stands on the left, its value on the right"
            )
        return compare(self.index(left), self.value(right))

    def chain(self, node: ast.Compare) -> Any:
        if not all(isinstance(operator, (ast.Lt, ast.LtE)) for operator in node.ops):
            raise self.error(node, "a range is written with < and <=, as in '2019' <= a < '2020'")
        index, end = node.comparators
        first, second = (isinstance(operator, ast.Lt) for operator in node.ops)
        return rq.InRange(self.index(index), self.value(node.left), self.value(end), first, second)

    def membership(self, left: ast.expr, negated: bool, right: ast.expr) -> Any:
        if not isinstance(right, ast.Call):
            if not isinstance(right, (ast.Name, ast.Attribute)):
                raise self.error(right, "an index, any([...]) or all([...]) stands after 'in'")
            contains = rq.DoesNotContain if negated else rq.Contains
            return contains(self.index(right), self.value(left))
        function = right.func.id if isinstance(right.func, ast.Name) else ""
        if function not in ("any", "all"):
            raise self.error(right, "the only functions are any([...]) and all([...])")
        if len(right.args) != 1 or right.keywords:
            raise self.error(right, f"{function} takes one list of values")
        values = self.value(right.args[0])
        if not isinstance(values, (list, tuple, set, frozenset, rq.Name)):
            raise self.error(right.args[0], f"{function} takes a list of values, in brackets")
        compare = {
            ("any", False): rq.Any,
            ("any", True): rq.NotAny,
            ("all", False): rq.All,
            ("all", True): NotAll,
        }[function, negated]
        return compare(self.index(left), values)

    # -- leaves ------------------------------------------------------------------------------

    def index(self, node: ast.expr) -> str:
        parts: list[str] = []
        while isinstance(node, ast.Attribute) and len(parts) < MAX_DEPTH:
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise self.error(node, "the name of an index belongs here")
        return ".".join([node.id, *reversed(parts)])

    def value(self, node: ast.expr, inside: bool = False) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
            return node.value
        if isinstance(node, ast.Name):
            return self.named(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = node.operand
            if isinstance(number, ast.Constant) and type(number.value) in (int, float):
                signed: Any = number.value
                return -signed if isinstance(node.op, ast.USub) else signed
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)) and not inside:
            values = [self.value(item, inside=True) for item in node.elts]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        hint = ""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            hint = "; a date stands in quotes, as in '2024-02-26'"
        raise self.error(node, f"a text in quotes, a number or a list of them belongs here{hint}")

    def named(self, node: ast.Name) -> Any:
        if self.names is None:
            return rq.Name(node.id)
        if node.id not in self.names:
            raise self.error(
                node, f"no value was given for {node.id}; if it is a text, put it in quotes"
            )
        return self.names[node.id]


class NotAll(rq.NotAll):
    """Not all of the values: the complement of `All`.

    repoze.catalog's own class asks the index for the positive answer.
    """

    def _apply(self, catalog: Any, names: Any) -> Any:
        return self._get_index(catalog).applyNotAll(self._get_value(names))


# -- simplifying -----------------------------------------------------------------------------
# What repoze.catalog calls optimizing, less the steps that change answers: `a < 1 or a > 2` is
# not "outside of 1..2" for a package without an a, and `not (a < 1)` is not `a >= 1` either.


def simplify(query: Any) -> Any:
    """An equal query with fewer parts; ``query`` itself is left as it is."""
    if isinstance(query, rq.Not):
        return _simplify_not(simplify(query.query))
    if not isinstance(query, (rq.And, rq.Or)):
        return query
    conjunction = isinstance(query, rq.And)
    parts = [simplify(part) for part in type(query)(*query.queries).queries]
    parts = type(query)(*parts).queries  # once more flat
    if not parts:
        return query
    first = parts[0]
    if len(parts) > 1 and all(
        type(part) is rq.Eq and part.index_name == first.index_name for part in parts
    ):
        values = [part._value for part in parts]
        return _at(first, (rq.All if conjunction else rq.Any)(first.index_name, values))
    if conjunction:
        parts = _ranges(parts)
    return parts[0] if len(parts) == 1 else type(query)(*parts)


def _at(place: Any, query: Any) -> Any:
    """``query``, with the place in the text of the part that it stands for."""
    query.origin = getattr(place, "origin", (None, None))
    return query


def _simplify_not(query: Any) -> Any:
    opposites = {rq.InRange: rq.NotInRange, rq.Any: rq.NotAny, rq.All: NotAll}
    opposite: Any = opposites.get(type(query))
    if opposite is rq.NotInRange:
        return _at(
            query,
            rq.NotInRange(
                query.index_name,
                query._start,
                query._end,
                query.start_exclusive,
                query.end_exclusive,
            ),
        )
    if opposite is not None:
        return _at(query, opposite(query.index_name, query._value))
    return rq.Not(query)


def _ranges(parts: list[Any]) -> list[Any]:
    """``a > 0 and b == 1 and a < 5`` as ``0 < a < 5 and b == 1``."""
    merged: list[Any] = []
    open_ends: dict[tuple[str, bool], int] = {}
    for part in parts:
        lower, upper = isinstance(part, (rq.Gt, rq.Ge)), isinstance(part, (rq.Lt, rq.Le))
        # What may be None stays: nothing compares to it, but it leaves an end of a range open.
        if not (lower or upper) or part._value is None or isinstance(part._value, rq.Name):
            merged.append(part)
            continue
        match = open_ends.pop((part.index_name, upper), None)
        if match is None:
            open_ends[part.index_name, lower] = len(merged)
            merged.append(part)
        else:
            start, end = (part, merged[match]) if lower else (merged[match], part)
            merged[match] = _at(merged[match], rq.InRange.fromGTLT(start, end))
    return merged
