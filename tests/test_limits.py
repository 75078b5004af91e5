"""Files, functions and classes stay small enough to be read at once."""

import ast

LINES_OF_A_FILE, LINES_OF_A_FUNCTION, MEMBERS_OF_A_CLASS = 300, 60, 20
# Each has its reason beside it.
LARGER = {"Augmentation"}


def members(node):
    return [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AnnAssign)]


def test_nothing_is_larger_than_its_limit(repository):
    larger = []
    for path in sorted((repository / "ferjax").rglob("*.py")):
        text = path.read_text()
        if len(text.splitlines()) > LINES_OF_A_FILE:
            larger.append(f"{path}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    larger.append(f"{path}: {node.name} has {lines} lines")
            if isinstance(node, ast.ClassDef) and node.name not in LARGER:
                number = len(members(node))
                if number > MEMBERS_OF_A_CLASS:
                    larger.append(f"{path}: {node.name} has {number} members")
    assert larger == []
