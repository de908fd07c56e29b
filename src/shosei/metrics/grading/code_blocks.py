"""Code in a text: what stands in its fences or between its prose, as far as it is Python."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"(`{3,}+|~{3,}+)[ \t]*+([\w+#.-]*+)[^\n`]*+\Z")
_PYTHON = ("", "python", "python3", "py", "py3", "python2")
_FIRST_CODE_LINE = re.compile(
    r"(?:async )?def +\w+ *\(|class +\w+ *[(:]|import +\w|from +[\w.]+ +import\b|@\w|[A-Za-z_]\w* *= *[\w\[({'\"]"
)
_MOST_READINGS = 60  # of a text, on average of its characters, before what is left of it is taken for prose
_BUILTINS = frozenset(dir(builtins))
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


@dataclass(frozen=True)
class Block:
    """Code that is a module of Python, and what it defines and uses."""

    code: str
    tree: ast.Module

    @property
    def defined(self) -> set[str]:
        return {name for statement in self.tree.body for name in _bound(statement)}

    @property
    def missing(self) -> set[str]:
        """Names that it reads and nothing in it binds."""
        nodes = [*ast.walk(self.tree)]
        names = [node for node in nodes if isinstance(node, ast.Name)]
        read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
        bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | self.defined
        bound |= {name for node in nodes for name in _bound(node)} | {
            node.arg for node in nodes if isinstance(node, ast.arg)
        }
        return read - bound - _BUILTINS

    def method(self, name: str) -> str:
        """The class that has a method of that name, where no function has it; empty if there is none."""
        return next((each.name for each in self._classes if any(is_function(part, name) for part in each.body)), "")

    @property
    def _classes(self) -> list[ast.ClassDef]:
        return [statement for statement in self.tree.body if isinstance(statement, ast.ClassDef)]

    def is_stub(self, name: str) -> bool:
        """Whether the function of that name does nothing: a signature that the prose shows again."""
        return any(is_function(statement, name) and is_empty(statement) for statement in self.tree.body)

    def without_usage(self, name: str) -> str:
        """The code without what follows its last definition, but for what binds ``name`` or what a function reads.

        It shows how to use the function: it prints, asks for input, asserts what may be wrong.
        """
        numbers = [number for number, each in enumerate(self.tree.body) if isinstance(each, _Definition)]
        end = numbers[-1] + 1 if numbers else len(self.tree.body)
        read = _globals_read(self.code) | {name}
        kept = [each for each in self.tree.body[end:] if read & {*_bound(each)} and not isinstance(each, ast.If)]
        if len(kept) == len(self.tree.body) - end:
            return self.code
        lines = self.code.split("\n")[: self.tree.body[end - 1].end_lineno]
        return "\n".join([*lines, *(source(self.code, each) for each in kept)])

    def definitions(self) -> str:
        """The code without what it only does: calls, asserts, prints."""
        kept = [each for each in self.tree.body if any(True for _ in _bound(each))]
        return "\n".join(source(self.code, statement) for statement in kept)


def blocks_of(text: str) -> list[Block]:
    """All code of the text that is Python: of its fences or, where none holds any, of the lines between its prose."""
    blocks = [block for code in fenced(text) for block in _modules(code)]
    return blocks if any(block.defined for block in blocks) else [*blocks, *_stretches(_outside(text))]


def fenced(text: str) -> list[str]:
    """What stands in each fence of Python or of no named language; a fence that is not closed ends with the text."""
    found: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opening = _FENCE.search(line)
        if not opening:
            continue
        mark, language = opening[1], opening[2].lower()
        content = "\n".join(_until_closed(lines, mark))
        if language in _PYTHON and content.strip():
            found.append(textwrap.dedent(content))
    return found


def _until_closed(lines: Iterator[str], mark: str) -> Iterator[str]:
    for line in lines:
        if line.strip().startswith(mark):
            return
        yield line


def _outside(text: str) -> list[str]:
    """The lines of a text without fence marks: a stray one closes nothing."""
    return [line for line in text.split("\n") if not re.match(r"\s*(?:`{3,}|~{3,})", line)]


def unfenced(text: str) -> list[str]:
    """The text from its first line of code on."""
    lines = _outside(text)
    begin = next((number for number, line in enumerate(lines) if _FIRST_CODE_LINE.match(line)), len(lines))
    return ["\n".join(lines[begin:])]


def _modules(code: str) -> list[Block]:
    """The code as one module, or else the stretches of it that are."""
    if tree := parsed(code):
        return [Block(code.strip("\n"), tree)] if tree.body else []
    return _stretches(code.split("\n"))


def _stretches(lines: list[str]) -> list[Block]:
    """Each stretch of the lines that is a module, from a first line of code to its last definition."""
    blocks, number = [], 0
    readings = Readings("\n".join(lines))
    while number < len(lines):
        if _FIRST_CODE_LINE.match(lines[number]) and (block := _longest(lines[number:], readings)):
            blocks.append(block)
            number += block.code.count("\n")
        number += 1
    return blocks


class Readings:
    """How often a text may still be read by Python's parser: one that repeats itself is never read to its end."""

    def __init__(self, text: str) -> None:
        self._characters = _MOST_READINGS * len(text)

    def left(self, code: str) -> bool:
        """Whether ``code``, a part of the text, may be read once more."""
        self._characters -= len(code)
        return self._characters >= 0


def _longest(lines: list[str], readings: Readings) -> Block | None:
    """The longest beginning of the lines that is a module, up to its last definition; prose may follow it."""
    end = len(lines)
    while end:
        code = "\n".join(lines[:end])
        if not readings.left(code):
            return None
        try:
            tree = compiled(code)
        except SyntaxError as error:
            wrong = min(error.lineno or end, end)
            end = max((number for number in range(wrong) if number < end and lines[number][:1].strip()), default=0)
            continue
        if tree is None or not (kept := [each for each in tree.body if any(True for _ in _bound(each))]):
            return None
        code = "\n".join(lines[: kept[-1].end_lineno])
        tree = parsed(code)
        return Block(code, tree) if tree else None
    return None


def compiled(code: str) -> ast.Module | None:
    """The module. Raises SyntaxError; None where Python cannot read it for another reason, such as its depth."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
            compile(tree, "answer", "exec", dont_inherit=True)
    except SyntaxError:
        raise
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None
    return tree


def parsed(code: str) -> ast.Module | None:
    try:
        return compiled(code)
    except SyntaxError:
        return None


def _bound(node: ast.AST) -> Iterable[str]:
    """The names that a statement binds in its module."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from ((each.asname or each.name).partition(".")[0] for each in names)
        case ast.Assign(targets=targets):
            yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            yield name
        case ast.ExceptHandler(name=str(name)):
            yield name
        case ast.If() | ast.Try():
            yield from (name for part in ast.iter_child_nodes(node) for name in _bound(part))


def _globals_read(code: str) -> set[str]:
    """The module's names that its functions read."""
    names: set[str] = set()
    tables = symtable.symtable(code, "answer", "exec").get_children()
    while tables:
        table = tables.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    return names


def is_function(statement: ast.AST, name: str) -> bool:
    return isinstance(statement, _Function) and statement.name == name


def is_empty(function: ast.AST) -> bool:
    body = getattr(function, "body", [])
    return all(
        isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and not isinstance(each.value, ast.Call))
        for each in body
    )


def source(code: str, statement: ast.stmt) -> str:
    """The lines of a statement, with its decorators."""
    decorators = getattr(statement, "decorator_list", [])
    begin = min([statement.lineno, *(each.lineno for each in decorators)])
    return "\n".join(code.split("\n")[begin - 1 : statement.end_lineno])
