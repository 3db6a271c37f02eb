"""Runs the benchmarks beside their rivals; see scripts/bench, which calls this.

Each row is measured in alternating rounds (ours, the rival, ours, the rival, ...), and its figures are medians over
the rounds, so that whatever else the machine does affects both sides. Before and after each round the peak that limits
the row is measured; measure.py says when a round is dropped. Memory, allocations and sizes are counts, taken once.
"""
import argparse
import json
import os
import platform
import sys

import charts
import tables
from groups import GROUPS
from measure import CORES, Measuring
from rivals import Rivals


def cpu_name():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def wanted(names, asked):
    """True when one of these rows is asked for, by its group or by the beginning of its name."""
    return any(name.split(".")[0] == one or ("." in one and name.startswith(one)) for name in names for one in asked)


def measured(asked, run, said):
    """The rows asked for, one after another."""
    # The peaks are always measured, since the other figures are compared with them.
    asked = ["peak", *(asked or GROUPS)]
    for group, jobs in GROUPS.items():
        if not any(one.split(".")[0] == group for one in asked):
            continue
        dropped = disturbed = 0
        for names, job in jobs(run):
            if not wanted(names, asked):
                continue
            rows = job()
            yield from rows
            # The rows of a job share their rounds, or most of them.
            dropped += max(row.get("dropped", 0) for row in rows)
            disturbed += max(row.get("disturbed", 0) for row in rows)
        if dropped or disturbed:
            said(f"  {group}: {dropped} disturbed rounds dropped, {disturbed} kept")


def parsed():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures Gradus beside its rivals.",
        epilog="Examples: scripts/bench tape train --json figures.json; scripts/bench train.medium-lstm gemm.nn; "
               "scripts/bench --read figures.json --markdown --charts docs/charts")
    parser.add_argument("groups", nargs="*", metavar="GROUP",
                        help=f"{', '.join(GROUPS)}, or the beginning of a row's name (train.medium-lstm); by default "
                             "all groups")
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file as well")
    parser.add_argument("--read", metavar="FILE", help="read the rows from a file that --json wrote instead of measuring")
    parser.add_argument("--markdown", action="store_true", help="print tables for a document")
    parser.add_argument("--charts", metavar="FOLDER", help="draw charts of the rows as SVG files in a folder")
    parser.add_argument("--torch", metavar="COMMAND",
                        help="the command that runs a Python script under PyTorch, such as a virtual environment's python; "
                             "by default the system's")
    parser.add_argument("--blas-root", metavar="FOLDER",
                        help="the folder of another Debian, which chroot enters as root: its OpenBLAS, BLIS and oneDNN are "
                             "the rivals of the group gemm")
    parser.add_argument("--quick", action="store_true", help="one short round per row, to see that everything runs")
    args = parser.parse_args()
    for one in args.groups:
        if one.split(".")[0] not in GROUPS:
            parser.error(f"there is no group {one!r}; the groups are {', '.join(GROUPS)}")
    if args.blas_root and not os.path.isdir(os.path.join(args.blas_root, "tmp")):
        parser.error(f"{args.blas_root}: there is no system in this folder")
    if args.json and not os.path.isdir(os.path.dirname(os.path.abspath(args.json))):
        parser.error(f"{args.json}: make its folder first")
    return parser, args


def read(parser, name):
    try:
        with open(name) as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        parser.error(f"{name}: {error}")


def measure(args, show):
    run = Measuring(quick=args.quick)
    run.rivals = Rivals(show, args.torch, args.blas_root)
    rows = []
    show(f"{cpu_name()}, {CORES} cores")
    show(tables.head())
    try:
        for row in measured(args.groups, run, show):
            rows.append(row)
            show(tables.line(row))
    finally:
        run.rivals.close()
    return {"machine": cpu_name(), "cores": CORES, "rows": rows}


def main():
    parser, args = parsed()
    # With --markdown, only the tables go to stdout.
    show = lambda text: print(text, file=sys.stderr if args.markdown else sys.stdout, flush=True)
    if args.read:
        figures = read(parser, args.read)
        for row in figures["rows"] if not args.markdown else []:
            show(tables.line(row))
    else:
        figures = measure(args, show)
    if args.json:
        part = args.json + ".part"
        with open(part, "w") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
        os.replace(part, args.json)
    if args.charts:
        for name in charts.write(figures, args.charts):
            show(f"  {name}")
    if args.markdown:
        print(tables.markdown(figures["rows"]))


try:
    main()
except KeyboardInterrupt:
    sys.exit(130)
