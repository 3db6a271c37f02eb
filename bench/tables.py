"""Rows as text: for a terminal and for documents."""

WIDTHS = [("name", 34), ("unit", 9), ("ours", 11), ("rival", 25), ("theirs", 11), ("ratio", 6), ("speed", 13),
          ("of peak", 7), ("dropped", 7)]


def number(value):
    """Enough places to tell figures apart, and no more."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cells(row):
    """The texts of a row, as in WIDTHS."""
    theirs, ratio, speed, share = (row.get(key) for key in ["theirs", "ratio", "speed", "share"])
    dropped = "" if row.get("dropped") is None else str(row["dropped"])
    if row.get("disturbed"):
        dropped += f" ({row['disturbed']} kept)"
    return [row["name"], row["unit"], number(row["ours"]), "" if theirs is None else row["rival"],
            "" if theirs is None else number(theirs), "" if ratio is None else f"{ratio:.2f}",
            "" if speed is None else f"{number(speed)} {row['speed_unit']}", "" if share is None else f"{share:.0%}",
            dropped]


def padded(texts):
    return " ".join(f"{text:{'<' if name in ('name', 'unit') else '>'}{width}}"
                    for text, (name, width) in zip(texts, WIDTHS)).rstrip()


def head():
    return padded([name for name, _ in WIDTHS])


def line(row):
    return padded(cells(row))


def markdown(rows):
    """A table a group, without the columns that are empty in it."""
    groups = {}
    for row in rows:
        groups.setdefault(row["name"].split(".")[0], []).append(cells(row))
    out = []
    for name, texts in groups.items():
        kept = [i for i in range(len(WIDTHS)) if any(text[i] for text in texts)]
        out += [f"`scripts/bench {name}`", "", "| " + " | ".join(WIDTHS[i][0] for i in kept) + " |",
                "|" + "|".join("---" if WIDTHS[i][0] in ("name", "unit", "rival") else "---:" for i in kept) + "|"]
        out += ["| " + " | ".join(text[i] for i in kept) + " |" for text in texts]
        out.append("")
    return "\n".join(out)
