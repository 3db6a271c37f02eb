"""Rows as text, for terminals and documents."""

WIDTHS = [("name", 34), ("unit", 9), ("ours", 11), ("rival", 25), ("theirs", 11), ("ratio", 6), ("speed", 13),
          ("of peak", 7), ("dropped", 7)]


def number(value):
    """A figure with as many decimals as are needed to tell figures apart."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(row):
    """The texts of a row for the columns of WIDTHS."""
    theirs, ratio, speed, share = (row.get(key) for key in ["theirs", "ratio", "speed", "share"])
    if speed is not None:
        # Left out where it would repeat our figure.
        speed = None if row["unit"] == row["speed_unit"] else f"{number(speed)} {row['speed_unit']}"
    dropped = "" if row.get("dropped") is None else str(row["dropped"])
    if row.get("disturbed"):
        dropped += f" ({row['disturbed']} kept)"
    return [row["name"], row["unit"], number(row["ours"]), "" if theirs is None else row["rival"],
            "" if theirs is None else number(theirs), "" if ratio is None else f"{ratio:.2f}",
            speed or "", "" if share is None else f"{share:.0%}", dropped]


def padded(texts):
    return " ".join(f"{text:{'<' if name in ('name', 'unit') else '>'}{width}}"
                    for text, (name, width) in zip(texts, WIDTHS)).rstrip()


def head():
    return padded([name for name, _ in WIDTHS])


def line(row):
    return padded(cells(row))


def side_by_side(rows):
    """The columns and texts of rows of which several have one name: a line for each name, two columns for each rival."""
    rivals, names = {row["rival"]: None for row in rows}, {}
    for row in rows:
        names.setdefault(row["name"], {})[row["rival"]] = dict(zip((name for name, _ in WIDTHS), cells(row)))
    columns = ["name", "unit", "ours", "of peak", *(text for rival in rivals for text in [rival, "ratio"]), "dropped"]
    texts = []
    for beside in names.values():
        first = next(iter(beside.values()))
        theirs = [beside.get(rival, {}).get(column, "") for rival in rivals for column in ["theirs", "ratio"]]
        texts.append([first["name"], first["unit"], first["ours"], first["of peak"], *theirs, first["dropped"]])
    return columns, texts


LONG = 14  # rows from which a group's table has two in a line


def in_pairs(rows):
    """The columns and texts of many rows that have one rival, the first half beside the second: what was compared, and no
    more."""
    units = {row["unit"] for row in rows}
    texts = []
    for row in rows:
        text = dict(zip((name for name, _ in WIDTHS), cells(row)))
        name = text["name"].split(".", 1)[1] + ("" if len(units) == 1 else f", {text['unit']}")
        texts.append([name, text["ours"], text["theirs"], text["ratio"]])
    half = (len(texts) + 1) // 2
    texts.append([""] * 4)  # beside an odd one
    return ["name", "ours", "theirs", "ratio"] * 2, [texts[i] + texts[half + i] for i in range(half)]


def caption(name, rows, paired):
    """What made a table, and in one of pairs what its rows have in common."""
    units, rivals = {row["unit"] for row in rows}, {row["rival"].split(",")[0] for row in rows if row["rival"]}
    said = [*(units if len(units) == 1 else []), *(f"beside {rival}" for rival in sorted(rivals))]
    return f"`scripts/bench {name}`" + (f" ({', '.join(said)})" if paired else "")


def markdown(rows):
    """A table for each group, without columns that say nothing in it."""
    groups = {}
    for row in rows:
        groups.setdefault(row["name"].split(".")[0], []).append(row)
    out = []
    for name, rows in groups.items():
        columns, texts = [column for column, _ in WIDTHS], [cells(row) for row in rows]
        several = len({row["name"] for row in rows}) < len(rows)
        paired = not several and len(rows) >= LONG and all(row["rival"] for row in rows)
        if several:
            columns, texts = side_by_side(rows)
        elif paired:
            columns, texts = in_pairs(rows)
        kept = [i for i, column in enumerate(columns)
                if any(text[i] not in ("", "0" if column == "dropped" else "") for text in texts)]
        out += [caption(name, rows, paired), "", "| " + " | ".join(columns[i] for i in kept) + " |",
                "|" + "|".join("---" if columns[i] in ("name", "unit", "rival") else "---:" for i in kept) + "|"]
        out += ["| " + " | ".join(text[i] for i in kept) + " |" for text in texts]
        out.append("")
    return "\n".join(out)
