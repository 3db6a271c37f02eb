"""The parts of charts: a drawing, a logarithmic axis, and labels that do not overlap."""
import math
from xml.sax.saxutils import escape, quoteattr

FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
INK, FAINT, RULE, PAPER = "#1f2328", "#59636e", "#d8dee4", "#ffffff"
OURS, RIVAL, BEHIND = "#1f6feb", "#8c959f", "#d1570a"


class Drawing:
    """A self-contained SVG file with a background and without external fonts or styles."""

    def __init__(self, width, height, title, subtitle):
        self.width, self.height, self.title = width, height, title
        self.parts = []
        self.text(24, 32, title, size=17, weight=600)
        self.text(24, 52, subtitle, size=12, fill=FAINT)

    def add(self, name, content=None, **attributes):
        words = " ".join(f"{key.replace('_', '-')}={quoteattr(shown(value))}" for key, value in attributes.items())
        self.parts.append(f"<{name} {words}/>" if content is None else f"<{name} {words}>{content}</{name}>")

    def text(self, x, y, text, size=11, fill=INK, anchor="start", weight=400, turned=False):
        more = {"transform": f"rotate(-90 {shown(x)} {shown(y)})"} if turned else {}
        self.add("text", escape(text), x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, font_weight=weight,
                 **more)

    def line(self, x1, y1, x2, y2, stroke=RULE, width=1, **more):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width, **more)

    def path(self, points, stroke, width=2, **more):
        self.add("polyline", points=" ".join(f"{shown(x)},{shown(y)}" for x, y in points), fill="none", stroke=stroke,
                 stroke_width=width, stroke_linejoin="round", **more)

    def dot(self, x, y, fill, said, radius=4, stroke=PAPER):
        self.add("circle", f"<title>{escape(said)}</title>", cx=x, cy=y, r=radius, fill=fill, stroke=stroke,
                 stroke_width=1.2)

    def bar(self, x, y, width, height, fill, said):
        self.add("rect", f"<title>{escape(said)}</title>", x=x, y=y, width=width, height=height, fill=fill, rx=1.5)

    def source(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
                f'viewBox="0 0 {self.width} {self.height}" role="img" font-family={quoteattr(FONT)}>')
        return "\n".join([head, f"<title>{escape(self.title)}</title>",
                          f'<rect x="0.5" y="0.5" width="{self.width - 1}" height="{self.height - 1}" rx="6" '
                          f'fill="{PAPER}" stroke="{RULE}"/>', *self.parts, "</svg>", ""])


def shown(value):
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def plain(value):
    """A figure with three digits or more: 0.412, 4.12, 41.2, 412, 4120."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


class Axis:
    """A logarithmic scale from values low..high to coordinates begin..end."""

    def __init__(self, low, high, begin, end):
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def __call__(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self, steps=(1, 2, 5)):
        """Round numbers in the range of values."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        return [tick for tick in every if self.low * 0.999 <= tick <= self.high * 1.001]


def rounded(low, high, room=1.15):
    """The ends of an axis for values low..high, each 1, 2 or 5 times a power of ten."""
    steps = [step * 10.0**power for power in range(-6, 10) for step in (1, 2, 5)]
    return (max(step for step in steps if step <= low / room * 1.0001),
            min(step for step in steps if step >= high * room * 0.9999))


class Labels:
    """Short texts beside points, placed where they overlap no point and no other text."""

    def __init__(self, drawing, points, size=10):
        self.drawing, self.size, self.points = drawing, size, points
        self.taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]

    def keep_off(self, left, top, right, bottom):
        self.taken.append((left, top, right, bottom))

    def put(self, x, y, text, fill=INK):
        width, height = 0.6 * self.size * len(text), self.size
        places = []
        for away in (8, 13, 19, 26):
            for turn in (-90, -45, -135, 0, 180, 45, 135, 90):
                at_x, at_y = x + away * math.cos(math.radians(turn)), y + away * math.sin(math.radians(turn))
                left = at_x - width * (0.5 - 0.5 * math.cos(math.radians(turn)))
                places.append((left, at_y - height / 2, left + width, at_y + height / 2))
        # The place with the least overlap, then with the fewest other points nearby; the first of equals.
        box = min(places, key=lambda box: (round(self.overlap(box)), self.strangers(box, x, y)))
        self.taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        if math.dist(middle, (x, y)) > 17:
            self.drawing.line(*middle, x, y, RULE)
        self.drawing.text((box[0] + box[2]) / 2, box[3] - 1.5, text, self.size, fill, "middle")

    def overlap(self, box):
        return sum(max(0, min(box[2], other[2]) - max(box[0], other[0])) *
                   max(0, min(box[3], other[3]) - max(box[1], other[1])) for other in self.taken)

    def strangers(self, box, x, y):
        """The number of other points that are as near to the label as its own."""
        at_x, at_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        own = math.hypot(at_x - x, at_y - y)
        return sum(math.hypot(at_x - one[0], at_y - one[1]) <= own for one in self.points if one != (x, y))
