# SPDX-License-Identifier: BSD-2-Clause
"""Draws what single operations cost against the number of knotes: an SVG, one panel for each
operation, one line for each filter, both axes logarithmic. Used by run.py."""
import math

COLOURS = {  # told apart by those who see fewer colours too
    "READ": "#0072b2",
    "WRITE": "#56b4e9",
    "TIMER": "#d55e00",
    "USER": "#009e73",
    "VNODE": "#cc79a7",
    "PROC": "#7b3294",
    "SIGNAL": "#b8860b",
    "epoll": "#666666",
}
NAMES = {"epoll": "epoll, as READ (no kqueue)"}
OPERATIONS = {
    "add": "add: EV_ADD of a new knote",
    "fire": "fire: one event obtained",
    "modify": "modify: EV_ADD of a knote that is there",
    "delete": "delete: EV_DELETE",
}
WIDTH = 1030
LEFT, TOP = 78, 104
PANEL_W, PANEL_H = 400, 240
GAP_X, GAP_Y = 100, 78


def text(x, y, content, size=13, anchor="start", extra=""):
    content = content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>{content}</text>'


def line(x1, y1, x2, y2, stroke, width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{stroke}" stroke-width="{width}"/>')


def time_label(exponent):
    value, unit = 10 ** exponent, "ns"
    for larger in ("µs", "ms", "s"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:g} {unit}"


class Panel:
    """One pair of axes. Its place in the drawing is x, y; the ranges are powers of ten."""

    def __init__(self, x, y, x_range, y_range):
        self.x, self.y, self.x_range, self.y_range = x, y, x_range, y_range

    def place(self, knotes, ns):
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        return (self.x + (math.log10(knotes) - x0) / (x1 - x0) * PANEL_W,
                self.y + PANEL_H - (math.log10(ns) - y0) / (y1 - y0) * PANEL_H)

    def grid(self, title):
        bottom, right = self.y + PANEL_H, self.x + PANEL_W
        parts = [text(self.x, self.y - 10, title, 14, extra='font-weight="bold"')]
        for exponent in range(self.y_range[0], self.y_range[1] + 1):
            _, y = self.place(1, 10 ** exponent)
            parts += [line(self.x, y, right, y, "#d0d0d0"),
                      text(self.x - 8, y + 4, time_label(exponent), 12, "end")]
            for minor in (2, 5) if exponent < self.y_range[1] else ():
                _, y = self.place(1, minor * 10 ** exponent)
                parts.append(line(self.x, y, right, y, "#efefef"))
        for exponent in range(self.x_range[0], self.x_range[1] + 1):
            x, _ = self.place(10 ** exponent, 1)
            parts += [line(x, self.y, x, bottom, "#d0d0d0"),
                      text(x, bottom + 18, f"{10 ** exponent:,}", 12, "middle")]
        parts += [line(self.x, bottom, right, bottom, "#404040", 1.2),
                  line(self.x, self.y, self.x, bottom, "#404040", 1.2),
                  text(self.x + PANEL_W / 2, bottom + 37, "knotes in the kqueue (number)", 12, "middle"),
                  text(0, 0, "time for one operation", 12, "middle",
                       f'transform="translate({self.x - 58:.1f},{self.y + PANEL_H / 2:.1f}) rotate(-90)"')]
        return parts

    def curve(self, what, points):
        colour = COLOURS.get(what, "black")
        places = [self.place(*point) for point in sorted(points)]
        dashes = ' stroke-dasharray="6 4"' if what == "epoll" else ""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>']
        for (x, y), (knotes, ns) in zip(places, sorted(points)):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
                         f"<title>{what}, {knotes:,} knotes: {ns:,.0f} ns</title></circle>")
        return parts


def legend(filters, y):
    parts, x = [], LEFT
    for what in filters:
        colour = COLOURS.get(what, "black")
        dashes = ' stroke-dasharray="6 4"' if what == "epoll" else ""
        parts += [f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" stroke="{colour}" stroke-width="2"{dashes}/>',
                  f'<circle cx="{x + 14}" cy="{y}" r="3.5" fill="{colour}"/>',
                  text(x + 35, y + 4, NAMES.get(what, what))]
        x += 98
    return parts


def ranges(points):
    """Powers of ten around all points; knotes from 1,000 at least to 1,000,000."""
    costs = [math.log10(max(point["ns"], 1)) for point in points]
    counts = [math.log10(point["knotes"]) for point in points]
    return ((min(3, math.floor(min(counts))), max(6, math.ceil(max(counts)))),
            (math.floor(min(costs)), max(math.ceil(max(costs)), math.floor(min(costs)) + 2)))


def draw(points, system, remarks):
    """The SVG, as text. `points` have filter, operation, knotes and ns (None: not measured)."""
    measured = [point for point in points if point["ns"]]
    filters = list(dict.fromkeys(point["filter"] for point in measured))
    x_range, y_range = ranges(measured) if measured else ((3, 6), (1, 5))
    parts = [
        text(WIDTH / 2, 32, "Cost of one operation against the number of knotes", 20, "middle",
             'font-weight="bold"'),
        *legend(filters, 60),
    ]
    for number, (operation, title) in enumerate(OPERATIONS.items()):
        panel = Panel(LEFT + number % 2 * (PANEL_W + GAP_X), TOP + number // 2 * (PANEL_H + GAP_Y),
                      x_range, y_range)
        parts += panel.grid(title)
        for what in filters:
            curve = [(point["knotes"], point["ns"]) for point in measured
                     if point["filter"] == what and point["operation"] == operation]
            if curve:
                parts += panel.curve(what, curve)
    notes = [f"{system}. Each operation is a kevent() call of its own.",
             *(f"Not measured: {remark}." for remark in remarks)]
    foot = TOP + 2 * PANEL_H + GAP_Y + 62
    for number, note in enumerate(notes):
        parts.append(text(LEFT, foot + 17 * number, note, 12, extra='fill="#505050"'))
    body = "\n".join(parts)
    height = foot + 17 * len(notes) + 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" fill="#202020">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n')
