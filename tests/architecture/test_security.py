"""What the source may not contain: ways to run code from data, to join values into SQL, to read markup out of data."""

import ast
import re

import pytest

from tests.architecture.sources import Source, sources

RUNS_CODE_OF_A_FILE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "yaml"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__",
    "joblib.load", "torch.load", "torch.jit.load", "yaml.load", "numpy.load", "np.load",
    "pandas.read_pickle", "pd.read_pickle",
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
FORBIDDEN_FLAGS = {("allow_pickle", True), ("shell", True), ("weights_only", False)}

PIECES_OF_SQL = {
    ("store/loading/ids.py", "self._table"): "users or items, by its type",
    ("store/loading/ids.py", "column"): "from the table of columns",
    ("store/bulk.py", "table"): "two names in the line below",
    ("store/bulk.py", "after[0]"): "made an int by `int()`: ADBC binds no values together with its batch option",
    ("store/bulk.py", "after[1]"): "likewise",
    ("store/bulk.py", "upto"): "an int out of a NumPy array",
    ("store/loading/ingest.py", "rule.changes"): "from the table of rules in store/duplicates.py",
    ("store/loading/ingest.py", "rule.rating"): "likewise",
    ("store/loading/ingest.py", "rule.at"): "likewise",
    ("store/replay.py", "rule.changes"): "from the table of rules in store/duplicates.py",
    ("store/replay.py", "rule.rating"): "likewise",
    ("store/replay.py", "rule.at"): "likewise",
    ("store/replay.py", "table"): "from the names of temporary tables at the top of the file",
    ("store/forget.py", "table"): "a table of our own schema, quoted, or from the tables of texts",
    ("store/forget.py", "column"): "from the tables of texts at the top of the file",
    ("store/forget.py", "key"): "likewise",
    ("store/importers/sqlite.py", "chosen"): "columns out of the schema of the file that is read, quoted",
    ("store/importers/sqlite.py", "_quoted(table)"): "likewise",
}
"""What may stand in braces inside SQL besides constants and placeholders, each with its reason."""

WORDS_OF_SQL = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE|ALTER|DROP|ATTACH|FROM|WHERE|VALUES|CASE WHEN)\b"
)
UNKNOWN = ast.Name("a value that is not written in the source")
SHOWS_MARKUP = {"Static", "Label", "Button", "notify", "Panel", "Rule", "Markdown", "from_markup", "render_markup"}


def calls(source: Source):
    """Yield (place, dotted name, node) of every call."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield f"{source.path}:{node.lineno}", ast.unparse(node.func), node


def is_constant(name: str) -> bool:
    return re.fullmatch(r"_?[A-Z][A-Z0-9_]*", name) is not None


def is_placeholders(node: ast.expr) -> bool:
    """`",".join("?" * n)`."""
    return re.fullmatch(r"['\"], ?['\"]\.join\(['\"]\?['\"] \* len\(\w+\)\)", ast.unparse(node)) is not None


def is_fixed(node: ast.expr, locals_: dict[str, list[ast.expr]]) -> bool:
    """Tell whether an expression can only be text from the source: no value of a user or of the data reaches it."""
    parts: list[ast.expr] = [UNKNOWN]  # anything not named below is not fixed
    if isinstance(node, ast.Constant) or is_placeholders(node):
        parts = []
    elif isinstance(node, ast.Name):
        parts = [] if is_constant(node.id) else locals_.get(node.id, parts)
        locals_ = locals_ | {node.id: []}  # `query = query + …` adds nothing by itself
    elif isinstance(node, ast.JoinedStr):
        parts = node.values
    elif isinstance(node, ast.FormattedValue):
        parts = [node.value]
    elif isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.Subscript):  # of a table of constants, whatever the key
        parts = [node.value] if isinstance(node.value, ast.Name) else parts
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "int":
        parts = []
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        parts = [node.func.value, *node.args]
    return node is not UNKNOWN and all(is_fixed(part, locals_) for part in parts)


def assigned(function: ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """Return what each local name is given in a function; what comes as an argument or from a loop is not fixed."""
    found: dict[str, list[ast.expr]] = {
        argument.arg: [UNKNOWN] for argument in ast.walk(function.args) if isinstance(argument, ast.arg)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            targets, values = node.targets, [node.value] * len(node.targets)
            if isinstance(targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                targets, values = targets[0].elts, node.value.elts
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            targets, values = [node.target], [node.value or UNKNOWN]
        elif isinstance(node, ast.For | ast.comprehension):
            targets = [name for name in ast.walk(node.target) if isinstance(name, ast.Name)]
            values = [UNKNOWN] * len(targets)
        else:
            continue
        for target, value in zip(targets, values, strict=True):
            if isinstance(target, ast.Name):
                found.setdefault(target.id, []).append(value)
    return found


def loose_sql(source: Source) -> list[str]:
    """Return the places where SQL is put together from something that is not fixed."""
    loose: list[str] = []

    def visit(node: ast.AST, known: dict[str, list[ast.expr]]) -> None:
        if isinstance(node, ast.FunctionDef):
            known = known | assigned(node)
        parts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr) and WORDS_OF_SQL.search(ast.unparse(node)):
            parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.BinOp | ast.Call) and joins_sql(node):
            parts = [node]
        loose.extend(
            f"{source.path}:{node.lineno} {ast.unparse(part)}"
            for part in parts
            if not is_fixed(part, known) and (source.path, ast.unparse(part)) not in PIECES_OF_SQL
        )
        for child in ast.iter_child_nodes(node):
            visit(child, known)

    visit(source.tree, {})
    return loose


def joins_sql(node: ast.BinOp | ast.Call) -> bool:
    """`"SELECT …" + x`, `"SELECT …" % x` and `"SELECT …".format(x)`."""
    if isinstance(node, ast.BinOp):
        first = node.left
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        first = node.func.value
    else:
        return False
    return isinstance(first, ast.Constant) and isinstance(first.value, str) and bool(WORDS_OF_SQL.search(first.value))


class TestCodeFromData:
    def test_no_library_that_runs_the_code_of_a_file(self):
        found = [
            f"{source.path}:{node.lineno}"
            for source in sources()
            for node in ast.walk(source.tree)
            if (isinstance(node, ast.Import) and {a.name.partition(".")[0] for a in node.names} & RUNS_CODE_OF_A_FILE)
            or (isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in RUNS_CODE_OF_A_FILE)
            or (isinstance(node, ast.ImportFrom) and node.module == "joblib" and "load" in {a.name for a in node.names})
            or (isinstance(node, ast.ImportFrom) and node.module == "torch" and "load" in {a.name for a in node.names})
        ]
        assert found == []

    def test_no_call_that_runs_text_or_opens_a_pickle(self):
        assert [f"{place} {name}" for s in sources() for place, name, _ in calls(s) if name in FORBIDDEN_CALLS] == []

    def test_no_flag_that_allows_it(self):
        found = [
            f"{place} {flag.arg}"
            for source in sources()
            for place, _, node in calls(source)
            for flag in node.keywords
            if isinstance(flag.value, ast.Constant) and (flag.arg, flag.value.value) in FORBIDDEN_FLAGS
        ]
        assert found == []


class TestSql:
    def test_no_value_is_written_into_sql(self):
        assert [place for source in sources() for place in loose_sql(source)] == []

    def test_each_exception_is_still_needed(self):
        texts = {source.path: source.text for source in sources("store")}
        assert [key for key in PIECES_OF_SQL if key[1] not in texts.get(key[0], "")] == []

    @pytest.mark.parametrize(
        "line",
        [
            'db.execute(f"SELECT * FROM users WHERE user = {user}")',
            'db.execute(f"SELECT * FROM users WHERE user = {user!r}")',
            'db.execute("SELECT * FROM users WHERE user = %s" % user)',
            'db.execute("SELECT * FROM users WHERE user = " + user)',
            'db.execute("SELECT * FROM {}".format(table))',
            'query = f"DELETE FROM {self.table}"',
            'order = user\n    db.execute(f"SELECT * FROM users ORDER BY {order}")',
            'marks = ",".join(users)\n    db.execute(f"SELECT * FROM users WHERE user IN ({marks})")',
        ],
    )
    def test_the_check_sees_what_it_is_for(self, line):
        text = f"def ask(self, db, user, users, table):\n    {line}\n"
        assert len(loose_sql(Source("store/made_up.py", text, ast.parse(text)))) == 1

    @pytest.mark.parametrize(
        "line",
        [
            'db.execute(f"SELECT {_COLUMNS} FROM users WHERE user = ?", (user,))',
            'marks = ",".join("?" * len(users))\n    db.execute(f"SELECT * FROM users WHERE user IN ({marks})", users)',
            'order = "user" if user else "id"\n    db.execute(f"SELECT * FROM users ORDER BY {order}")',
            'db.execute(f"PRAGMA busy_timeout = {int(user)}")',
            'print(f"no user {user}")',
            'query = "SELECT 1"\n    query = query + " FROM users"\n    db.execute(f"SELECT {query}")',
        ],
    )
    def test_and_lets_pass_what_is_sound(self, line):
        text = f"def ask(self, db, user, users, table):\n    {line}\n"
        assert loose_sql(Source("store/made_up.py", text, ast.parse(text))) == []


class TestMarkup:
    def test_no_markup_is_read_out_of_text(self):
        found = [
            place for s in sources() for place, name, _ in calls(s) if name.endswith(("from_markup", "render_markup"))
        ]
        assert found == []

    def test_no_data_is_put_into_text_that_is_read_as_markup(self):
        """A widget given a str reads markup in it: data goes in as Text or Content, or with markup=False."""
        found = []
        for source in sources("recsys_tui"):
            for place, name, node in calls(source):
                plain = any(flag.arg == "markup" and ast.unparse(flag.value) == "False" for flag in node.keywords)
                given = [*node.args, *(flag.value for flag in node.keywords)]
                risky = name.rpartition(".")[2] in SHOWS_MARKUP or name.endswith("console.print")
                if risky and not plain and any(isinstance(value, ast.JoinedStr) for value in given):
                    found.append(f"{place} {name}")
        assert found == []
