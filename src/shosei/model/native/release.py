"""The libraries of a release wheel: ``python -m shosei.model.native.release`` before the wheel is built."""

from __future__ import annotations

from shosei.files import remove
from shosei.model.native.compiler import SHIPPED, build, shipped_name, zig
from shosei.model.native.instructions import INSTRUCTION_SETS


def main() -> None:
    """Compile one for each instruction set, for any Linux since 2012, in place of all that were there."""
    compiler = zig()
    remove(SHIPPED)
    SHIPPED.mkdir()
    for target in INSTRUCTION_SETS:
        build(target, compiler, shipped_name(target), portable=True)
        print(shipped_name(target))


if __name__ == "__main__":
    main()
