"""Charts of the rows of a run: self-contained SVG files, for light and dark pages.

    scripts/bench --json figures.json --charts docs/charts
    scripts/bench --read figures.json --charts docs/charts
"""
import os

from svg import BEHIND, FAINT, INK, OURS, RIVAL, RULE, Axis, Drawing, Labels, plain, rounded


def by_name(rows):
    """The row of each name; if there are several rivals, that of the fastest."""
    out = {}
    for row in rows:
        last = out.get(row["name"])
        if last is None or (row["ratio"] or 0) < (last["ratio"] or 0):
            out[row["name"]] = row
    return out


def conditions(figures):
    return f"{figures['machine']}, {figures['cores']} cores, f32"


# -- The roofline ---------------------------------------------------------------------------------------------

KINDS = [("gemm", "products of matrices", "#57606a"), ("gemm.packed", "products with a packed side", "#8250df"),
         ("train", "training steps", OURS)]


def kind_of(name):
    return max((kind for kind, _, _ in KINDS if name.startswith(kind + ".")), key=len)


def roofline(figures):
    """GFLOP/s over floating-point operations per byte, with the limits of the machine."""
    rows, cores = by_name(figures["rows"]), figures["cores"]
    suffix = "_one_thread" if cores == 1 else f"_{cores}_threads"
    peak, triad = (rows.get(f"peak.{name}") for name in ["fma" + suffix, "triad" + (suffix if cores > 1 else "")])
    points = [row for row in rows.values() if row.get("bytes") and row["threads"] == cores and
              not any(f".{sides}." in row["name"] for sides in ["nt", "tn", "tt"])]
    if not (peak and triad and points):
        return None
    points.sort(key=lambda row: (row["flops"] / row["bytes"], row["name"]))
    key_height = 16 * len(points) + 24 * len(KINDS)
    out = Drawing(960, max(520, 96 + key_height), "Roofline: the limits of the machine, and the speeds reached",
                  conditions(figures))
    x = Axis(*rounded(min(row["flops"] / row["bytes"] for row in points), points[-1]["flops"] / points[-1]["bytes"]),
             72, 610)
    highest = max(peak["ours"], *(row["speed"] for row in points))
    y = Axis(rounded(min(row["speed"] for row in points), 1)[0], 1.25 * highest, out.height - 64, 80)
    grid(out, x, y, "floating-point operations per byte", "GFLOP/s", y_ticks=y.ticks((1, 1.5, 2, 3, 5, 7)))
    places = [(x(row["flops"] / row["bytes"]), y(row["speed"])) for row in points]
    labels, colours = Labels(out, places), {kind: colour for kind, _, colour in KINDS}
    roof(out, x, y, peak["ours"], triad["ours"], labels)
    for row, at in zip(points, places):
        out.dot(*at, colours[kind_of(row["name"])], f"{row['name']}: {plain(row['speed'])} GFLOP/s")
    for number, (row, at) in enumerate(zip(points, places), 1):
        labels.put(*at, str(number), colours[kind_of(row["name"])])

    # The key: number, name, share of the peak.
    at = 92
    for kind, said, colour in KINDS:
        members = [(number, row) for number, row in enumerate(points, 1) if kind_of(row["name"]) == kind]
        if not members:
            continue
        out.text(652, at, said, 11.5, colour, weight=600)
        out.text(930, at, "of the peak", 10, FAINT, "end")
        at += 17
        for number, row in members:
            name = row["name"][len(kind) + 1:].replace(f".{cores}threads", "")
            out.text(672, at, str(number), 10.5, FAINT, "end")
            out.text(680, at, name, 10.5)
            out.text(930, at, f"{row['share']:.0%}", 10.5, anchor="end")
            at += 16
        at += 8
    return out


def roof(out, x, y, peak, triad, labels):
    """The slope of memory and the ceiling of the processor, kept free of labels."""
    ridge = peak / triad
    begin = max(x.low, y.low / triad)
    out.path([(x(begin), y(begin * triad)), (x(ridge), y(peak)), (x.end, y(peak))], INK, 1.6)
    said = f"multiply-adds {plain(peak)} GFLOP/s"
    out.text(x(ridge), y(peak) - 15, said, 11, INK)
    labels.keep_off(x(ridge), y(peak) - 26, x(ridge) + 6.6 * len(said), y(peak))
    labels.keep_off(x(ridge), y(peak) - 1, x.end, y(peak) + 1)
    # Right of the slope's middle.
    middle = (begin * ridge)**0.5
    said = f"triad {plain(triad)} GB/s"
    out.text(x(middle) + 12, y(middle * triad) + 12, said, 11, INK)
    labels.keep_off(x(middle) + 8, y(middle * triad), x(middle) + 12 + 6.6 * len(said), y(middle * triad) + 16)


def grid(out, x, y, x_name, y_name, x_ticks=None, y_ticks=None):
    """The grid lines, tick labels and names of two axes."""
    for tick in y_ticks or y.ticks():
        out.line(x.begin, y(tick), x.end, y(tick))
        out.text(x.begin - 8, y(tick) + 4, f"{tick:,g}", 11, FAINT, "end")
    for tick in x_ticks or x.ticks():
        out.line(x(tick), y.begin, x(tick), y.end, RULE)
        out.text(x(tick), y.begin + 18, f"{tick:,g}", 11, FAINT, "middle")
    out.line(x.begin, y.begin, x.end, y.begin, FAINT)
    out.text((x.begin + x.end) / 2, y.begin + 40, x_name, 12, INK, "middle")
    out.text(x.begin - 48, (y.begin + y.end) / 2, y_name, 12, INK, "middle", turned=True)


# -- Ratios ---------------------------------------------------------------------------------------------------

MODELS = [("train", "training, tokens a second"), ("generate", "generating, tokens a second"),
          ("memory", "memory of a training"), ("layers", "layers, forward and backward"),
          ("optimizer", "clipping and optimizer's step")]
OPS = [("gemm", "products of matrices, all cores, beside the fastest library"),
       ("elementwise", "elementwise, one core"), ("reduction", "reductions past the cache, one core"),
       ("softmax", "softmax, one core"),
       ("transforms", "derivatives of functions, one core"), ("shapes", "small and odd shapes in f64, one core"),
       ("tape", "small ops, and compiling a program")]


def compared(figures, group):
    """The rows of a group that compare with another library."""
    rows = [row for row in by_name(figures["rows"]).values() if row["name"].split(".")[0] == group and row["ratio"]]
    if group == "gemm" and figures["cores"] > 1:
        rows = [row for row in rows if row["name"].endswith("threads")]
    return [row for row in rows if not row["rival"].startswith(("triad", "op by op")) and "_cost" not in row["name"]]


def ratios(figures, title, subtitle, groups):
    """The ratios as bars that begin at 1."""
    chosen = [(said, group, compared(figures, group)) for group, said in groups]
    chosen = [one for one in chosen if one[2]]
    if not chosen:
        return None
    every = [row["ratio"] for _, _, rows in chosen for row in rows]
    out = Drawing(820, 104 + sum(42 + 18 * len(rows) for _, _, rows in chosen), title,
                  f"{subtitle}; right of 1 Gradus is ahead. {conditions(figures)}")
    x = Axis(*rounded(min(min(every), 0.7), max(max(every), 1.5)), 300, 640)
    at = 88
    for said, group, rows in chosen:
        out.text(24, at + 4, said, 12, INK, weight=600)
        at += 22
        for tick in x.ticks():
            out.line(x(tick), at - 9, x(tick), at + 18 * len(rows) - 9)
        for row in rows:
            ratio_bar(out, x, at, group, row, f".{figures['cores']}threads")
            at += 18
        out.line(x(1), at - 18 * len(rows) - 9, x(1), at - 9, INK, 1.2)
        at += 20
    for tick in x.ticks():
        out.text(x(tick), at - 14, f"{tick:g}", 11, FAINT, "middle")
    return out


def ratio_bar(out, x, at, group, row, suffix):
    ratio, begin = row["ratio"], x(1)
    out.text(288, at + 4, row["name"][len(group) + 1:].replace(suffix, ""), 11, INK, "end")
    out.bar(min(begin, x(ratio)), at - 6, max(1.0, abs(x(ratio) - begin)), 12, OURS if ratio >= 1 else BEHIND,
            f"{row['name']}: {ratio:.2f}")
    out.text(max(begin, x(ratio)) + 6, at + 4, f"{ratio:.2f}", 11, INK)
    out.text(800, at + 4, row["rival"], 10, FAINT, "end")


# -- Cost against size ----------------------------------------------------------------------------------------

def cost(figures):
    """The time of training per token over the hidden width and over the number of steps."""
    rows = by_name(figures["rows"])
    panels = []
    for group, name in [("hidden", "hidden width (35 steps, batch 20)"), ("steps", "steps (hidden width 64, batch 1)")]:
        found = [(int(row["name"].rsplit("-", 1)[1]), row) for row in rows.values()
                 if row["name"].startswith(f"cost.{group}-")]
        if len(found) > 1:
            panels.append((name, sorted(found, key=lambda pair: pair[0])))
    if not panels:
        return None
    out = Drawing(60 + 450 * len(panels), 470, "Cost against size: training an LSTM, a token",
                  f"One layer, 1,000 words, forward, backward, clipping and SGD. {conditions(figures)}")
    rows = [row for _, found in panels for _, row in found]
    rival = next((row["rival"].split(",")[0] for row in rows if row["rival"]), None)
    legend(out, [("Gradus", OURS, None), (rival, RIVAL, None), ("the multiply-adds at the machine's peak", INK, "5 4")])
    every = [value for row in rows for value in [row["ours"], row["theirs"], ideal(row)] if value]
    low, high = rounded(min(every), max(every))
    for i, (name, found) in enumerate(panels):
        sizes = [size for size, _ in found]
        x = Axis(sizes[0], sizes[-1], 84 + 450 * i, 84 + 450 * i + 380)
        y = Axis(low, high, 400, 104)
        grid(out, x, y, name, "microseconds a token" if i == 0 else "", sizes, y.ticks((1,)))
        lines = [("ours", OURS), ("theirs", RIVAL)]
        out.path([(x(size), y(ideal(row))) for size, row in found], INK, 1.4, stroke_dasharray="5 4")
        for key, colour in reversed(lines):
            points = [(x(size), y(row[key]), row) for size, row in found if row[key]]
            out.path([(px, py) for px, py, _ in points], colour)
            for px, py, row in points:
                out.dot(px, py, colour, f"{row['name']}: {plain(row[key])} us a token")
    return out


def ideal(row):
    """The microseconds that a token's multiply-adds would take at the peak of the run."""
    return row["flops"] / row["peak"] / 1e3


def legend(out, entries):
    at = 24
    for said, colour, dashes in entries:
        if not said:
            continue
        out.line(at, 76, at + 24, 76, colour, 2, **({"stroke_dasharray": dashes} if dashes else {}))
        out.text(at + 30, 80, said, 11.5)
        at += 54 + 6.6 * len(said)


CHARTS = {
    "roofline": roofline,
    "ratios_models": lambda figures: ratios(figures, "Language models: Gradus beside PyTorch",
                                            "Times as fast, or of memory times less", MODELS),
    "ratios_ops": lambda figures: ratios(figures, "Ops: Gradus beside other libraries", "Times as fast", OPS),
    "cost": cost,
}


def write(figures, folder):
    """Writes the charts for which there are rows, and returns their files."""
    os.makedirs(folder, exist_ok=True)
    written = []
    for name, draw in CHARTS.items():
        drawing = draw(figures)
        if drawing is None:
            continue
        written.append(os.path.join(folder, name + ".svg"))
        with open(written[-1], "w") as file:
            file.write(drawing.source())
    return written
