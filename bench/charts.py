"""The rows of a run as charts: SVG files that stand by themselves, on light and dark pages.

    scripts/bench --json figures.json --charts docs/charts
    scripts/bench --read figures.json --charts docs/charts
"""
import os

from svg import BEHIND, FAINT, INK, OURS, RIVAL, RULE, Axis, Drawing, Labels, plain, rounded


def by_name(rows):
    """The row of each name; of several rivals the fastest."""
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
    """GFLOP/s over floating-point operations a byte, under what the machine can do at most."""
    rows, cores = by_name(figures["rows"]), figures["cores"]
    suffix = "_one_thread" if cores == 1 else f"_{cores}_threads"
    peak, triad = (rows.get(f"peak.{name}") for name in ["fma" + suffix, "triad" + (suffix if cores > 1 else "")])
    points = [row for row in rows.values() if row.get("bytes") and row["threads"] == cores and
              not any(f".{sides}." in row["name"] for sides in ["nt", "tn", "tt"])]
    if not (peak and triad and points):
        return None
    points.sort(key=lambda row: (row["flops"] / row["bytes"], row["name"]))
    key_height = 16 * len(points) + 24 * len(KINDS)
    out = Drawing(960, max(520, 96 + key_height), "Roofline: what the machine allows, and what is reached",
                  conditions(figures))
    x = Axis(*rounded(min(row["flops"] / row["bytes"] for row in points), points[-1]["flops"] / points[-1]["bytes"]),
             72, 610)
    y = Axis(*rounded(min(row["speed"] for row in points), peak["ours"]), out.height - 64, 80)
    grid(out, x, y, "floating-point operations a byte", "GFLOP/s")
    roof(out, x, y, peak["ours"], triad["ours"])

    places = [(x(row["flops"] / row["bytes"]), y(row["speed"])) for row in points]
    labels, colours = Labels(out, places), {kind: colour for kind, _, colour in KINDS}
    for number, (row, (at_x, at_y)) in enumerate(zip(points, places), 1):
        out.dot(at_x, at_y, colours[kind_of(row["name"])], f"{row['name']}: {plain(row['speed'])} GFLOP/s")
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


def roof(out, x, y, peak, triad):
    """The memory's slope and the processor's ceiling."""
    ridge = peak / triad
    begin = max(x.low, y.low / triad)
    out.path([(x(begin), y(begin * triad)), (x(ridge), y(peak)), (x.end, y(peak))], INK, 1.6)
    out.text(x.end - 4, y(peak) - 7, f"multiply-adds {plain(peak)} GFLOP/s", 11, INK, "end")
    # Along the slope, below it.
    near = max(begin * 1.15, (begin * ridge)**0.5 * 0.6)
    out.text(x(near) + 10, y(near * triad) + 12, f"triad {plain(triad)} GB/s", 11, INK)


def grid(out, x, y, x_name, y_name, x_ticks=None, y_ticks=None):
    """Rules, tick labels and names of two axes."""
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
OPS = [("gemm", "products of matrices, all cores, beside the fastest library"), ("elementwise", "elementwise, one core"),
       ("reduction", "reductions past the cache, one core"), ("softmax", "softmax, one core"),
       ("transforms", "derivatives of functions, one core"), ("tape", "small ops, one core")]


def compared(figures, group):
    """The rows of a group beside someone else's library."""
    rows = [row for row in by_name(figures["rows"]).values() if row["name"].split(".")[0] == group and row["ratio"]]
    if group == "gemm" and figures["cores"] > 1:
        rows = [row for row in rows if row["name"].endswith("threads")]
    return [row for row in rows if not row["rival"].startswith(("triad", "op by op")) and "_cost" not in row["name"]]


def ratios(figures, title, groups):
    """How many times ahead, as bars from 1 to either side."""
    chosen = [(said, group, compared(figures, group)) for group, said in groups]
    chosen = [one for one in chosen if one[2]]
    if not chosen:
        return None
    every = [row["ratio"] for _, _, rows in chosen for row in rows]
    out = Drawing(820, 112 + sum(34 + 18 * len(rows) for _, _, rows in chosen), title,
                  f"Times as fast (of memory: times less) as the rival; right of 1 Gradus is ahead. {conditions(figures)}")
    low, high = rounded(min(min(every), 0.7), max(max(every), 1.5))
    x, bottom = Axis(low, high, 300, 640), out.height - 34
    for tick in x.ticks():
        out.line(x(tick), 72, x(tick), bottom)
        out.text(x(tick), bottom + 18, f"{tick:g}", 11, FAINT, "middle")
    at = 88
    for said, group, rows in chosen:
        out.text(24, at + 4, said, 12, INK, weight=600)
        at += 20
        for row in rows:
            ratio, begin = row["ratio"], x(1)
            name = row["name"][len(group) + 1:].replace(f".{figures['cores']}threads", "")
            out.text(288, at + 4, name, 11, INK, "end")
            out.bar(min(begin, x(ratio)), at - 6, max(1.0, abs(x(ratio) - begin)), 12, OURS if ratio >= 1 else BEHIND,
                    f"{row['name']}: {ratio:.2f}")
            out.text(max(begin, x(ratio)) + 6, at + 4, f"{ratio:.2f}", 11, INK)
            out.text(804, at + 4, row["rival"], 10, FAINT, "end")
            at += 18
        at += 14
    out.line(x(1), 72, x(1), bottom, INK, 1.2)
    return out


# -- Cost against size ----------------------------------------------------------------------------------------

def cost(figures):
    """Time of a token in training over the hidden width and over the steps."""
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
    rival = next((row["rival"].split(",")[0] for row in rows.values() if row["name"].startswith("cost.") and row["rival"]),
                 None)
    legend(out, [("Gradus", OURS, None), (rival, RIVAL, None), ("the multiply-adds at the machine's peak", INK, "5 4")])
    every = [value for _, found in panels for _, row in found for value in [row["ours"], row["theirs"], ideal(row)] if value]
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
    """Microseconds of the token's multiply-adds at the peak of the run."""
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
    "ratios_models": lambda figures: ratios(figures, "Language models: Gradus beside PyTorch", MODELS),
    "ratios_ops": lambda figures: ratios(figures, "Ops: Gradus beside other libraries", OPS),
    "cost": cost,
}


def write(figures, folder):
    """Writes the charts that the rows suffice for; returns their files."""
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
