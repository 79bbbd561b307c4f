"""Count the import graph of mlproject: `python tests/support/import_graph.py` prints it.

A room is a package of mlproject or a module next to the packages, an arrow an import of one room by another.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "mlproject"


def room(name: str) -> str:
    """Return the room of a dotted name below mlproject: ``mlproject.data.split`` is in ``data``."""
    return name.split(".")[1]


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted names below mlproject that a file imports, in functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith("mlproject.") and "__version__" not in name)


def arrows() -> dict[str, set[str]]:
    """Return each room with the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(PROJECT.rglob("*.py")):
        own = path.relative_to(PROJECT).parts[0].removesuffix(".py")
        if own != "__init__":
            rooms = {room(name) for name in imported(path)}
            found.setdefault(own, set()).update(rooms - {own})
    return found


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return the floor of each room: 0 where it imports no other, else one above the highest that it imports.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    known: dict[str, int] = {}
    while len(known) < len(graph):
        ready = [name for name in graph if name not in known and graph[name] <= known.keys()]
        if not ready:
            raise ValueError(f"imports in a circle: {', '.join(sorted(graph.keys() - known.keys()))}")
        known |= {name: 1 + max((known[other] for other in graph[name]), default=-1) for name in ready}
    return known


def main() -> None:
    """Print the counts, then each room with its floor and what it imports, from the top down."""
    graph = arrows()
    level = floors(graph)
    count = sum(map(len, graph.values()))
    print(f"{len(graph)} rooms, {max(level.values()) + 1} floors, {count} arrows, none up")
    for name in sorted(graph, key=lambda name: (-level[name], name)):
        print(f"{level[name]:3}  {name:11} → {', '.join(sorted(graph[name])) or '-'}")


if __name__ == "__main__":
    main()
