#!/usr/bin/env python3
"""Counts the lines that each kind of extension takes in Gradus (examples/) and in libtorch
(bench/rivals/libtorch_extensions.cpp), without blank lines and comments, as a table in Markdown.

Usage: bench/extension_lines.py
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RIVAL = ROOT / "bench/rivals/libtorch_extensions.cpp"
KINDS = {"custom_op": "op", "several_results": "op of several results", "custom_elementwise": "elementwise op",
         "custom_layer": "layer", "custom_loss": "loss", "custom_optimizer": "optimizer",
         "custom_schedule": "schedule", "custom_model": "language model"}


def lines(path, mark):
    """The lines of code between the marks."""
    found = re.search(rf"^// {mark} begins\n(.*?)^// {mark} ends$", path.read_text(), re.M | re.S)
    if not found:
        sys.exit(f"extension_lines: {path} has no part '{mark}'")
    return sum(1 for line in found[1].splitlines() if line.strip() and not line.lstrip().startswith("//"))


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    print("| a custom | Gradus | libtorch |\n|---|---|---|")
    for name, kind in KINDS.items():
        ours, theirs = lines(ROOT / f"examples/{name}.cpp", "custom"), lines(RIVAL, name)
        print(f"| [{kind}](../examples/{name}.cpp) | {ours} | {theirs} |")


if __name__ == "__main__":
    main()
