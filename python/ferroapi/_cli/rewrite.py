"""The codemod of `ferroapi migrate`: one source file's bytes in, the same bytes with a package renamed out.
It needs LibCST, which only that command imports; it reads no other file and judges no third-party package.
"""

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import libcst as cst
from libcst import matchers
from libcst.metadata import (
    Assignment,
    ClassScope,
    ImportAssignment,
    MetadataWrapper,
    PositionProvider,
    Scope,
    ScopeProvider,
)

_VERSION = "__version__"
_FASTAPI_VERSION = "__fastapi_version__"
_MODULES_OF_OURS = frozenset({"alias", "server", "pytest_plugin"})


class Renaming:
    """From the name of one package to that of the other, with the patterns by which the old one is found in strings."""

    def __init__(self, old: str, new: str) -> None:
        self.old = old
        self.new = new
        # `ferroapi.__version__` is ferroapi's own; code that asks for FastAPI's version means the behaviour.
        is_forward = new == "ferroapi"
        self.version, self.new_version = (_VERSION, _FASTAPI_VERSION)[:: 1 if is_forward else -1]
        self.without_counterpart = frozenset() if is_forward else _MODULES_OF_OURS
        self.target = re.compile(rf"{old}(?=$|[.:])")
        self.warning_category = re.compile(rf"(?<=:){old}(?=\.)")
        self.annotation = re.compile(rf"(?<![\w.]){old}(?=\s*\.)")
        self.worth_a_look = re.compile(rf"{old}(?:$|[.:])|(?s:.*?)\b(?:from|import)\s+{old}\b")
        self.plain_import = re.compile(rf"\bimport\b(?:.|\\\r?\n)*\b{old}\b".encode())


FORWARD = Renaming("fastapi", "ferroapi")
REVERSE = Renaming("ferroapi", "fastapi")

_TARGET_CALLS = {
    *("import_module", "__import__", "find_spec", "resolve_name", "importorskip"),
    *("patch", "dict", "multiple", "setattr", "delattr"),
}
"""Calls whose first argument, when it is a string, is the dotted name of a module or of something in it."""

_QUOTES = re.compile(r"""(?s)([A-Za-z]*(?:\"\"\"|'''|"|'))(.*?)(\"\"\"|'''|"|')\Z""")


class CannotRewriteError(Exception):
    """The file is left as it is; the message says why, and `line` where, counted from 1."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True)
class Remark:
    """Something that was left as it is and that a person should look at; the line counts from 1."""

    line: int
    text: str


@dataclass(frozen=True)
class Rewritten:
    """A file's new bytes, equal to the old ones when there is nothing to do, and what was left for a person."""

    source: bytes
    remarks: tuple[Remark, ...] = ()


def rewrite(source: bytes, names: Renaming = FORWARD) -> Rewritten:
    """Rename a package where it certainly is the module: imports, names bound by them, and strings that name a target.

    Raises:
        CannotRewriteError: LibCST cannot parse the file, or the new name is taken in it.
    """
    if names.old.encode() not in source:
        return Rewritten(source)
    module = parse(source)
    # The tree comes from the parser, so no node is in it twice and it need not be copied.
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    # Scopes take most of the time, and only a plain import binds the name itself.
    bound = _bound_names(wrapper, names) if names.plain_import.search(source) else _BoundNames()
    rewriter = _Rewriter(bound, names)
    rewritten = module.visit(rewriter)
    positions = wrapper.resolve(PositionProvider) if rewriter.left or rewriter.refused else {}
    if rewriter.refused:
        reason = f"the name {names.old} or {names.new} that this import binds means something else here as well"
        raise CannotRewriteError(reason, positions[rewriter.refused].start.line)
    changed = _carried_over(source, module.bytes, rewritten.bytes)
    remarks = (Remark(positions[node].start.line, text) for node, text in rewriter.left)
    return Rewritten(changed, tuple(sorted(remarks, key=lambda remark: remark.line)))


def parse(source: bytes) -> cst.Module:
    """The tree of a Python file, which may have the syntax of a newer Python than the running one.

    Raises:
        CannotRewriteError: LibCST cannot parse it.
    """
    try:
        return cst.parse_module(source)
    except (cst.ParserSyntaxError, UnicodeDecodeError, LookupError, SyntaxError) as error:
        # Python's own message is the one that people know.
        try:
            ast.parse(source)
        except SyntaxError as known:
            reason, line = known.msg, known.lineno or 1
        except ValueError as known:
            # Of null bytes, before Python 3.11.4.
            reason, line = str(known), 1
        else:
            reason, line = str(error).splitlines()[0], getattr(error, "raw_line", 1)
        raise CannotRewriteError(f"it cannot be parsed: {reason}", line) from error


def _carried_over(source: bytes, printed: bytes, changed: bytes) -> bytes:
    """The changed lines in the source itself: LibCST prints some blank lines and form feeds otherwise than they were.

    Raises:
        CannotRewriteError: a line to change is not printed as it stands in the source.
    """
    if printed == source:
        return changed
    lines, before, after = (text.splitlines(keepends=True) for text in (source, printed, changed))
    places: dict[int, int] = {}
    for block in difflib.SequenceMatcher(None, before, lines, autojunk=False).get_matching_blocks():
        places.update((block.a + step, block.b + step) for step in range(block.size))
    # A renaming never adds a line.
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            if number not in places:
                raise CannotRewriteError("LibCST does not give back this line as it is", number + 1)
            lines[places[number]] = new
    return b"".join(lines)


@dataclass
class _BoundNames:
    """Which nodes speak of the module: names to rename, string annotations, and imports that keep the old name."""

    renamed: set[cst.CSTNode] = field(default_factory=set)
    modules: set[cst.CSTNode] = field(default_factory=set)
    annotations: set[cst.CSTNode] = field(default_factory=set)
    keeping: set[cst.CSTNode] = field(default_factory=set)


def _bound_names(wrapper: MetadataWrapper, names: Renaming) -> _BoundNames:
    bound = _BoundNames()
    scopes = wrapper.resolve(ScopeProvider)
    fixed = _name_is_fixed(wrapper.module, scopes, names)
    for scope in {id(scope): scope for scope in scopes.values() if scope is not None}.values():
        _read_scope(scope, fixed, bound, names)
    return bound


def _name_is_fixed(module: cst.Module, scopes: Mapping[cst.CSTNode, Scope | None], names: Renaming) -> bool:
    """Whether the file gives the new name another meaning, or hands the old one around as a name."""
    if matchers.findall(module, matchers.NameItem(name=matchers.Name(names.old))):
        return True
    exports = matchers.findall(module, matchers.Assign(targets=[matchers.AssignTarget(matchers.Name("__all__"))]))
    literal = matchers.SimpleString(value=matchers.MatchIfTrue(lambda text: text.strip("'\"") == names.old))
    if any(matchers.findall(export, literal) for export in exports):
        return True
    taken = (
        each
        for scope in {*scopes.values()}
        if scope is not None
        for each in scope.assignments
        if each.name == names.new
    )
    return any(not (isinstance(each, ImportAssignment) and _imports_root(each.node, names.new)) for each in taken)


def _read_scope(scope: Scope, fixed: bool, bound: _BoundNames, names: Renaming) -> None:
    for assignment in scope.assignments:
        if isinstance(assignment, ImportAssignment) and isinstance(assignment.node, cst.Import):
            named = [alias for alias in assignment.node.names if alias.asname and _dotted(alias.name) == names.old]
            if any(alias.evaluated_alias == assignment.name for alias in named):
                bound.modules.update(access.node for access in assignment.references)
    ours = [each for each in scope.assignments if each.name.partition(".")[0] == names.old]
    imports = [each for each in ours if isinstance(each, ImportAssignment) and _imports_root(each.node, names.old)]
    if not imports:
        return
    others = [each for each in ours if each not in imports]
    # A name that is also a function, a class, a parameter or somebody else's import, or that is a class attribute.
    plain = all(isinstance(each, Assignment) and isinstance(each.node, cst.Name) for each in others)
    if fixed or not plain or isinstance(scope, ClassScope):
        bound.keeping.update(each.node for each in imports)
    else:
        bound.renamed.update(each.node for each in others if isinstance(each, Assignment))
    for assignment in ours:
        for access in assignment.references:
            if isinstance(access.node, cst.SimpleString):
                bound.annotations.add(access.node)
            else:
                bound.modules.add(_root(access.node))
    if imports[0].node not in bound.keeping:
        bound.renamed.update(node for each in ours for node in (_root(access.node) for access in each.references))


def _imports_root(node: cst.CSTNode, root: str) -> bool:
    """Whether the statement is an `import` that binds the package's name itself, without `as`."""
    return isinstance(node, cst.Import) and any(
        alias.asname is None and _dotted(alias.name).partition(".")[0] == root for alias in node.names
    )


def _dotted(node: cst.BaseExpression) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _root(node: cst.CSTNode) -> cst.CSTNode:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def _renamed_root(node: cst.BaseExpression, names: Renaming) -> cst.BaseExpression:
    if isinstance(node, cst.Attribute):
        return node.with_changes(value=_renamed_root(node.value, names))
    return node.with_changes(value=names.new)


def _renamed_alias(alias: cst.ImportAlias, keep: bool, names: Renaming) -> cst.ImportAlias:
    dotted = _dotted(alias.name)
    if dotted.partition(".")[0] != names.old:
        return alias
    renamed = alias.with_changes(name=_renamed_root(alias.name, names))
    if not keep or alias.asname is not None:
        return renamed
    return renamed.with_changes(asname=cst.AsName(cst.Name(names.old)))


def _renamed_version(alias: cst.ImportAlias, names: Renaming) -> cst.ImportAlias:
    if _dotted(alias.name) != names.version:
        return alias
    asname = alias.asname or cst.AsName(cst.Name(names.version))
    is_the_same = isinstance(asname.name, cst.Name) and asname.name.value == names.new_version
    return alias.with_changes(name=cst.Name(names.new_version), asname=None if is_the_same else asname)


class _Rewriter(cst.CSTTransformer):
    """Applies the renaming, and notes what looks like the module but is left, and an import that cannot be renamed."""

    def __init__(self, bound: _BoundNames, names: Renaming) -> None:
        super().__init__()
        self._names = names
        self.left: list[tuple[cst.CSTNode, str]] = []
        self.refused: cst.Import | None = None
        self._bound = bound
        self._targets: dict[cst.CSTNode, re.Pattern[str]] = dict.fromkeys(bound.annotations, names.annotation)

    def leave_Import(self, original_node: cst.Import, updated_node: cst.Import) -> cst.Import:
        if any(self._is_without_counterpart(_dotted(alias.name)) for alias in updated_node.names):
            self.left.append((original_node, cst.Module([]).code_for_node(original_node)))
            return updated_node
        keep = original_node in self._bound.keeping
        inner = [_dotted(each.name) for each in updated_node.names if keep and each.asname is None]
        if any(dotted.startswith(f"{self._names.old}.") for dotted in inner):
            self.refused = original_node
            return updated_node
        return updated_node.with_changes(names=[_renamed_alias(each, keep, self._names) for each in updated_node.names])

    def leave_ImportFrom(self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom) -> cst.ImportFrom:
        module, old = updated_node.module, self._names.old
        ours = not updated_node.relative and module is not None and _dotted(module).partition(".")[0] == old
        imported = () if isinstance(updated_node.names, cst.ImportStar) else updated_node.names
        if not ours or module is None:
            if any(_dotted(alias.name) == old for alias in imported):
                origin = "." * len(updated_node.relative) + (_dotted(module) if module else "")
                self.left.append((original_node, f"from {origin} import {old}"))
            return updated_node
        dotted = _dotted(module)
        if any(map(self._is_without_counterpart, [dotted, *(f"{dotted}.{_dotted(each.name)}" for each in imported)])):
            self.left.append((original_node, f"from {dotted} import ..."))
            return updated_node
        changed = updated_node.with_changes(module=_renamed_root(module, self._names))
        if dotted == old and any(_dotted(alias.name) == self._names.version for alias in imported):
            changed = changed.with_changes(names=[_renamed_version(alias, self._names) for alias in imported])
        return changed

    def _is_without_counterpart(self, dotted: str) -> bool:
        package, _, rest = dotted.partition(".")
        return package == self._names.old and rest.partition(".")[0] in self._names.without_counterpart

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        return (
            updated_node.with_changes(value=self._names.new) if original_node in self._bound.renamed else updated_node
        )

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        if original_node.attr.value == self._names.version and original_node.value in self._bound.modules:
            return updated_node.with_changes(attr=updated_node.attr.with_changes(value=self._names.new_version))
        return updated_node

    def visit_Call(self, node: cst.Call) -> None:
        called = node.func.attr.value if isinstance(node.func, cst.Attribute) else _dotted(node.func)
        owner = _dotted(node.func.value) if isinstance(node.func, cst.Attribute) else ""
        if called in _TARGET_CALLS or owner == "sys.modules":
            self._expect(node.args[:1], self._names.target)
        elif called == "filterwarnings":
            self._expect(node.args, self._names.warning_category)

    def visit_Subscript(self, node: cst.Subscript) -> None:
        if _dotted(node.value) == "sys.modules":
            for element in node.slice:
                if isinstance(element.slice, cst.Index):
                    self._targets[element.slice.value] = self._names.target

    def leave_SimpleString(self, original_node: cst.SimpleString, updated_node: cst.SimpleString) -> cst.SimpleString:
        match = _QUOTES.match(updated_node.value)
        pattern = self._targets.get(original_node)
        if match is None or self._names.old not in match[2]:
            return updated_node
        opening, text, closing = match.groups()
        # A target starts where the string starts; a category and an annotation may stand anywhere in it.
        if pattern is not None and pattern is self._names.target:
            changed = self._names.new + text[len(self._names.old) :] if pattern.match(text) else text
        else:
            changed = pattern.sub(self._names.new, text) if pattern else text
        if changed == text and self._names.worth_a_look.match(text):
            self.left.append((original_node, text.strip().splitlines()[0]))
        return updated_node.with_changes(value=opening + changed + closing)

    def _expect(self, arguments: Sequence[cst.Arg], pattern: re.Pattern[str]) -> None:
        for argument in arguments:
            self._targets[argument.value] = pattern
