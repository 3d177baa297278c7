#!/usr/bin/env python3
"""Draws Fingerpost Sans, the lettering of the sample site, in two weights.

    pip install fonttools brotli skia-pathops
    python3 _draw.py            # writes fingerpost-sans-{regular,bold}.woff2 beside this script

A letter is a skeleton: lines and arcs along the middle of each stroke. The pen that follows it makes horizontal strokes a
little thinner than vertical ones (`SQUASH`), as the eye expects, and the result is cut flat where the letter meets its lines.
The proportions are those of Roman capitals, as on old road signs: a round O, a narrow E, a wide M. The output depends on nothing
but this file and the versions of the packages.
"""

import math
import os

import pathops
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen

UPM, CAP, X, ASC, DESC = 1000, 700, 505, 735, -205
OVER = 11  # how far round letters pass their lines
SQUASH = 0.90
EPOCH = 3786912000  # 2024-01-01 in seconds since 1904, so that every run gives the same bytes
FAMILY = "Fingerpost Sans"


class Letter:
    """Collects strokes in design coordinates; `shape` is what they cover."""

    def __init__(self, weight):
        self.w, self.h, self.v = weight, weight / 2, weight * SQUASH / 2
        self.shape = pathops.Path()

    def stroke(self, *commands, width=None, close=False):
        path = pathops.Path()
        for c in commands:
            points = [(x, y / SQUASH) for x, y in c[1:]]
            if c[0] == "M":
                path.moveTo(*points[0])
            elif c[0] == "L":
                path.lineTo(*points[0])
            else:
                path.cubicTo(*points[0], *points[1], *points[2])
        if close:
            path.close()
        path.stroke(width or self.w, pathops.LineCap.BUTT_CAP, pathops.LineJoin.MITER_JOIN, 20)
        path = path.transform(1, 0, 0, SQUASH, 0, 0)
        self.add(path)

    def add(self, path):
        path.simplify(fix_winding=True, keep_starting_points=False)
        self.shape = pathops.op(self.shape, path, pathops.PathOp.UNION)

    def line(self, *points, **kw):
        self.stroke(("M", points[0]), *[("L", p) for p in points[1:]], **kw)

    def fill(self, *points):
        path = pathops.Path()
        path.moveTo(*points[0])
        for p in points[1:]:
            path.lineTo(*p)
        path.close()
        self.add(path)

    def ring(self, cx, cy, rx, ry):
        self.stroke(*arc(cx, cy, rx, ry, 90, 450), close=True)

    def dot(self, cx, cy, scale=1.0):
        r = self.h * 1.16 * scale
        path = pathops.Path()
        commands = arc(cx, cy, r, r, 0, 360)
        path.moveTo(*commands[0][1])
        for c in commands[1:]:
            path.cubicTo(*c[1], *c[2], *c[3])
        path.close()
        self.add(path)

    def clip(self, x0, y0, x1, y1):
        box = pathops.Path()
        box.moveTo(x0, y0)
        box.lineTo(x1, y0)
        box.lineTo(x1, y1)
        box.lineTo(x0, y1)
        box.close()
        self.shape = pathops.op(self.shape, box, pathops.PathOp.INTERSECTION)

    def turn(self, cx, cy):
        """Half a turn about a point: a 6 becomes a 9."""
        self.shape = self.shape.transform(-1, 0, 0, -1, 2 * cx, 2 * cy)


def arc(cx, cy, rx, ry, start, end, first="M"):
    """An elliptic arc in steps of at most 90 degrees, anticlockwise if `end` is greater."""
    n = max(1, math.ceil(abs(end - start) / 90 - 1e-9))
    step = math.radians((end - start) / n)
    k = 4 / 3 * math.tan(step / 4)
    a = math.radians(start)
    out = [(first, (cx + rx * math.cos(a), cy + ry * math.sin(a)))]
    for _ in range(n):
        b = a + step
        out.append((
            "C",
            (cx + rx * (math.cos(a) - k * math.sin(a)), cy + ry * (math.sin(a) + k * math.cos(a))),
            (cx + rx * (math.cos(b) + k * math.sin(b)), cy + ry * (math.sin(b) - k * math.cos(b))),
            (cx + rx * math.cos(b), cy + ry * math.sin(b)),
        ))
        a = b
    return out


def on(cx, cy, rx, ry, degrees):
    a = math.radians(degrees)
    return cx + rx * math.cos(a), cy + ry * math.sin(a)


def beyond(a, b, y):
    """The point at height `y` on the line through `a` and `b`."""
    t = (y - a[1]) / (b[1] - a[1])
    return a[0] + t * (b[0] - a[0]), y


# Each function draws one letter with its leftmost ink near x = 0 and returns its sides: S(traight), R(ound), D(iagonal),
# O(pen: the end of an arm or an opening), T (an overhanging bar).
GLYPHS = {}


def glyph(name, sides):
    def keep(draw):
        GLYPHS[name] = (draw, sides)
        return draw
    return keep


def stem(g, x, y0=0, y1=CAP):
    g.line((x, y0), (x, y1))


# --- capitals ---------------------------------------------------------------------------------------------------------------

@glyph("A", "DD")
def _(g):
    W = 620 + g.w * 0.7
    apex, foot = (W / 2, CAP - g.w * 0.14), (g.h * 1.06, 0)
    low = beyond(apex, foot, -200)
    g.line(low, apex, (W - low[0], -200))
    y = 205 - g.v * 0.2
    left = beyond(apex, foot, y)[0]
    g.line((left, y), (W - left, y))
    g.clip(-50, 0, W + 50, CAP)


@glyph("B", "SR")
def _(g):
    W = 440 + g.w * 0.75
    stem(g, g.h)
    mid = CAP * 0.53
    top, bottom = CAP - g.v, g.v
    ry, r1 = (top - mid) / 2, W - g.h - 30
    g.stroke(("M", (g.h, top)), *arc(r1 - ry, mid + ry, ry, ry, 90, -90, "L"), ("L", (g.h, mid)))
    ry = (mid - bottom) / 2
    g.stroke(("M", (g.h, mid)), *arc(W - g.h - ry, bottom + ry, ry, ry, 90, -90, "L"), ("L", (g.h, bottom)))


def bowl_radius(g, height=CAP):
    return (height + 2 * OVER) / 2 - g.v


@glyph("C", "RO")
def _(g):
    ry = bowl_radius(g)
    rx = 318 - g.h * 0.25
    g.stroke(*arc(g.h + rx, CAP / 2, rx, ry, 46, 314))


@glyph("D", "SR")
def _(g):
    W = 580 + g.w * 0.65
    stem(g, g.h)
    ry = CAP / 2 - g.v
    rx = ry * 0.98
    g.stroke(("M", (g.h, CAP - g.v)), *arc(W - g.h - rx, CAP / 2, rx, ry, 90, -90, "L"), ("L", (g.h, g.v)))


@glyph("E", "SO")
def _(g):
    W = 375 + g.w * 0.55
    stem(g, g.h)
    g.line((g.h, CAP - g.v), (W, CAP - g.v))
    g.line((g.h, CAP * 0.515), (W - 30, CAP * 0.515))
    g.line((g.h, g.v), (W + 6, g.v))


@glyph("F", "SO")
def _(g):
    W = 365 + g.w * 0.5
    stem(g, g.h)
    g.line((g.h, CAP - g.v), (W, CAP - g.v))
    g.line((g.h, CAP * 0.48), (W - 34, CAP * 0.48))


@glyph("G", "RS")
def _(g):
    ry = bowl_radius(g)
    rx = 322 - g.h * 0.2
    cx, cy = g.h + rx, CAP / 2
    end = on(cx, cy, rx, ry, -38)
    bar = CAP * 0.44 - g.v * 0.6
    g.stroke(*arc(cx, cy, rx, ry, 48, 322), ("L", (end[0], bar)), ("L", (cx + rx * 0.08, bar)))


@glyph("H", "SS")
def _(g):
    W = 490 + g.w
    stem(g, g.h)
    stem(g, W - g.h)
    g.line((g.h, CAP * 0.515), (W - g.h, CAP * 0.515))


@glyph("I", "SS")
def _(g):
    stem(g, g.h)


@glyph("J", "OS")
def _(g):
    W = 270 + g.w
    rx, ry = 160, 170
    x = W - g.h
    g.stroke(("M", (x, CAP)), *arc(x - rx, ry + g.v - OVER, rx, ry, 0, -142, "L"))


@glyph("K", "SD")
def _(g):
    W = 470 + g.w * 0.95
    stem(g, g.h)
    low, high = (g.h, CAP * 0.30), (W - g.w * 0.66, CAP)
    g.line(low, beyond(low, high, CAP + 200))
    start = beyond(low, high, CAP * 0.52)
    foot = (W - g.h * 1.18, 0)
    g.line(start, beyond(start, foot, -200))
    g.clip(0, 0, W + 60, CAP)


@glyph("L", "SO")
def _(g):
    W = 365 + g.w * 0.5
    stem(g, g.h)
    g.line((g.h, g.v), (W, g.v))


@glyph("M", "SS")
def _(g):
    W = 640 + g.w * 1.05
    stem(g, g.h)
    stem(g, W - g.h)
    a, v = (g.h * 1.12, CAP), (W / 2, 150)
    high = beyond(v, a, CAP + 200)
    g.line(high, v, (W - high[0], high[1]))
    g.clip(0, 0, W, CAP)


@glyph("N", "SS")
def _(g):
    W = 520 + g.w
    stem(g, g.h)
    stem(g, W - g.h)
    a, b = (g.h * 1.12, CAP), (W - g.h * 1.12, 0)
    g.line(beyond(a, b, CAP + 200), beyond(a, b, -200))
    g.clip(0, 0, W, CAP)


@glyph("O", "RR")
def _(g):
    rx = 334 - g.h * 0.1
    g.ring(g.h + rx, CAP / 2, rx, bowl_radius(g))


@glyph("P", "SR")
def _(g):
    W = 415 + g.w * 0.75
    stem(g, g.h)
    top, low = CAP - g.v, CAP * 0.42
    ry = (top - low) / 2
    g.stroke(("M", (g.h, top)), *arc(W - g.h - ry, low + ry, ry, ry, 90, -90, "L"), ("L", (g.h, low)))


@glyph("Q", "RR")
def _(g):
    rx = 334 - g.h * 0.1
    cx = g.h + rx
    g.ring(cx, CAP / 2, rx, bowl_radius(g))
    a, b = (cx + 60, 190), (cx + 275, -25)
    g.line(a, beyond(a, b, -200))
    g.clip(-50, -75, 2000, CAP + 50)


@glyph("R", "SD")
def _(g):
    W = 425 + g.w * 0.85
    stem(g, g.h)
    top, low = CAP - g.v, CAP * 0.44
    ry = (top - low) / 2
    right = W - g.w * 0.7
    g.stroke(("M", (g.h, top)), *arc(right - ry, low + ry, ry, ry, 90, -90, "L"), ("L", (g.h, low)))
    a, b = (right - ry * 1.12, low), (W - g.h * 0.95, 0)
    g.line(a, beyond(a, b, -200))
    g.clip(0, 0, W + 60, CAP)


def ess(g, W, height):
    """S and s: two bowls and one sloping spine."""
    top, bottom = height + OVER - g.v, g.v - OVER
    mid = height * 0.52
    ry1, ry2 = (top - mid) / 2, (mid - bottom) / 2
    inset = W * 0.035
    l1, r1, l2, r2 = g.h + inset, W - g.h - inset, g.h, W - g.h
    c1, c2 = ((l1 + r1) / 2, top - ry1), ((l2 + r2) / 2, bottom + ry2)
    rx1, rx2 = (r1 - l1) / 2, (r2 - l2) / 2
    reach = (c1[1] - c2[1]) * 0.86
    upper = arc(*c1, rx1, ry1, 30, 180)
    lower = arc(*c2, rx2, ry2, 0, -148)
    g.stroke(*upper, ("C", (l1, c1[1] - reach), (r2, c2[1] + reach), (r2, c2[1])), *lower[1:])


@glyph("S", "OO")
def _(g):
    ess(g, 385 + g.w * 0.75, CAP)


@glyph("T", "TT")
def _(g):
    W = 480 + g.w * 0.65
    g.line((0, CAP - g.v), (W, CAP - g.v))
    stem(g, W / 2)


@glyph("U", "SS")
def _(g):
    W = 475 + g.w
    rx = W / 2 - g.h
    ry = rx * 0.98
    g.stroke(("M", (g.h, CAP)), *arc(W / 2, ry + g.v - OVER, rx, ry, 180, 360, "L"), ("L", (W - g.h, CAP)))


def vee(g, W, height, depth=0.14):
    v, a = (W / 2, g.w * depth), (g.h * 1.06, height)
    high = beyond(v, a, height + 200)
    g.line(high, v, (W - high[0], high[1]))


@glyph("V", "DD")
def _(g):
    W = 600 + g.w * 0.7
    vee(g, W, CAP)
    g.clip(-50, 0, W + 50, CAP)


def double_vee(g, W, height, apex):
    d = g.w * 0.14
    a = (g.h * 1.04, height)
    v1, m, v2 = (W * 0.285, d), (W / 2, apex), (W * 0.715, d)
    high = beyond(v1, a, height + 200)
    g.line(high, v1, m, v2, (W - high[0], high[1]))
    g.clip(-50, 0, W + 50, height)


@glyph("W", "DD")
def _(g):
    double_vee(g, 880 + g.w * 0.8, CAP, CAP - g.w * 0.14)


@glyph("X", "DD")
def _(g):
    W = 540 + g.w * 0.8
    e = g.h * 1.16
    for a, b in (((e, 0), (W - e - 12, CAP)), ((W - e, 0), (e + 12, CAP))):
        g.line(beyond(a, b, -200), beyond(a, b, CAP + 200))
    g.clip(-50, 0, W + 50, CAP)


@glyph("Y", "DD")
def _(g):
    W = 560 + g.w * 0.75
    fork, a = (W / 2, CAP * 0.40), (g.h * 1.14, CAP)
    high = beyond(fork, a, CAP + 200)
    g.line(high, fork, (W - high[0], high[1]))
    stem(g, W / 2, 0, CAP * 0.43)
    g.clip(-50, 0, W + 50, CAP)


def zed(g, W, height):
    g.line((8, height - g.v), (W - 6, height - g.v))
    g.line((0, g.v), (W, g.v))
    a, b = (g.h * 1.28, 0), (W - 6 - g.h * 1.28, height)
    g.line(beyond(a, b, -200), beyond(a, b, height + 200))
    g.clip(0, 0, W, height)


@glyph("Z", "OO")
def _(g):
    zed(g, 480 + g.w * 0.6, CAP)


# --- lower case -------------------------------------------------------------------------------------------------------------

ROUND = 232  # half the width of o, to the middle of the stroke


def small(g):
    return bowl_radius(g, X)


@glyph("a", "RS")
def _(g):
    W = 368 + g.w * 0.85
    x = W - g.h
    rx, ry = (W - g.w) / 2 * 0.98, 150
    cy = X + OVER - g.v - ry
    g.stroke(*arc(x - rx, cy, rx, ry, 148, 0), ("L", (x, 0)))
    top, bottom = X * 0.585, g.v - OVER
    r = (top - bottom) / 2
    cx = g.h + r * 1.05
    g.stroke(("M", (x, top)), *arc(cx, bottom + r, r * 1.05, r, 90, 270, "L"),
             ("C", (cx + r * 0.75, bottom), (x - 6, bottom + r * 0.35), (x, bottom + r * 1.15)))


@glyph("b", "SR")
def _(g):
    stem(g, g.h, 0, ASC)
    g.ring(g.h + ROUND, X / 2, ROUND, small(g))


@glyph("c", "RO")
def _(g):
    g.stroke(*arc(g.h + ROUND, X / 2, ROUND, small(g), 46, 314))


@glyph("d", "RS")
def _(g):
    stem(g, g.h + 2 * ROUND, 0, ASC)
    g.ring(g.h + ROUND, X / 2, ROUND, small(g))


@glyph("e", "RO")
def _(g):
    cx, cy, ry = g.h + ROUND, X / 2, small(g)
    g.stroke(("M", (g.h, cy - 6)), ("L", (cx + ROUND, cy - 6)), *arc(cx, cy, ROUND, ry, 0, 313, "L"))


@glyph("f", "TO")
def _(g):
    x = 92 + g.h
    rx, ry = 148, 150
    g.stroke(("M", (x, 0)), *arc(x + rx, ASC + OVER - g.v - ry, rx, ry, 180, 68, "L"))
    g.line((0, X - g.v), (x + 178, X - g.v))


@glyph("g", "RS")
def _(g):
    x = g.h + 2 * ROUND
    g.ring(g.h + ROUND, X / 2, ROUND, small(g))
    ry = 185
    g.stroke(("M", (x, X)), *arc(x - ROUND, DESC - OVER + g.v + ry, ROUND, ry, 0, -146, "L"))


def arch(g, x0, x1):
    rx = (x1 - x0) / 2
    ry = rx * 1.02
    g.stroke(("M", (x0, X * 0.35)), *arc(x0 + rx, X + OVER - g.v - ry, rx, ry, 180, 0, "L"), ("L", (x1, 0)))


@glyph("h", "SS")
def _(g):
    stem(g, g.h, 0, ASC)
    arch(g, g.h, 352 + g.w * 0.7)


@glyph("i", "SS")
def _(g):
    r = g.h * 1.16
    stem(g, r, 0, X)
    g.dot(r, X + 60 + r * 1.2)


@glyph("j", "OS")
def _(g):
    x = 150
    g.stroke(("M", (x, X)), *arc(x - 130, DESC - OVER + g.v + 130, 130, 130, 0, -82, "L"))
    g.dot(x, X + 60 + g.h * 1.4)


@glyph("k", "SD")
def _(g):
    W = 375 + g.w * 0.95
    stem(g, g.h, 0, ASC)
    low, high = (g.h, X * 0.28), (W - g.w * 0.72, X)
    g.line(low, beyond(low, high, X + 200))
    start, foot = beyond(low, high, X * 0.50), (W - g.h * 1.18, 0)
    g.line(start, beyond(start, foot, -200))
    box = pathops.Path()
    for i, p in enumerate([(0, 0), (W + 60, 0), (W + 60, X), (g.w, X), (g.w, ASC), (0, ASC)]):
        (box.lineTo if i else box.moveTo)(*p)
    box.close()
    g.shape = pathops.op(g.shape, box, pathops.PathOp.INTERSECTION)


@glyph("l", "SS")
def _(g):
    stem(g, g.h, 0, ASC)


@glyph("m", "SS")
def _(g):
    step = 302 + g.w * 0.2
    stem(g, g.h, 0, X)
    arch(g, g.h, g.h + step)
    arch(g, g.h + step, g.h + 2 * step)


@glyph("n", "SS")
def _(g):
    stem(g, g.h, 0, X)
    arch(g, g.h, 352 + g.w * 0.7)


@glyph("o", "RR")
def _(g):
    g.ring(g.h + ROUND + 4, X / 2, ROUND + 4, small(g))


@glyph("p", "SR")
def _(g):
    stem(g, g.h, DESC, X)
    g.ring(g.h + ROUND, X / 2, ROUND, small(g))


@glyph("q", "RS")
def _(g):
    stem(g, g.h + 2 * ROUND, DESC, X)
    g.ring(g.h + ROUND, X / 2, ROUND, small(g))


@glyph("r", "SO")
def _(g):
    stem(g, g.h, 0, X)
    rx = 175 + g.w * 0.1
    g.stroke(("M", (g.h, X * 0.35)), *arc(g.h + rx, X + OVER - g.v - rx, rx, rx, 180, 62, "L"))


@glyph("s", "OO")
def _(g):
    ess(g, 296 + g.w * 0.72, X)


@glyph("t", "TO")
def _(g):
    x = 88 + g.h
    g.stroke(("M", (x, X + 135)), *arc(x + 132, g.v - OVER + 132, 132, 132, 180, 292, "L"))
    g.line((0, X - g.v), (x + 182, X - g.v))


@glyph("u", "SS")
def _(g):
    x0, x1 = g.h, 352 + g.w * 0.7
    stem(g, x1, 0, X)
    rx = (x1 - x0) / 2
    ry = rx * 1.02
    g.stroke(("M", (x0, X)), *arc(x0 + rx, g.v - OVER + ry, rx, ry, 180, 360, "L"), ("L", (x1, X * 0.65)))


@glyph("v", "DD")
def _(g):
    W = 430 + g.w * 0.75
    vee(g, W, X)
    g.clip(-50, 0, W + 50, X)


@glyph("w", "DD")
def _(g):
    double_vee(g, 660 + g.w * 0.85, X, X - g.w * 0.14)


@glyph("x", "DD")
def _(g):
    W = 410 + g.w * 0.85
    e = g.h * 1.2
    for a, b in (((e, 0), (W - e - 8, X)), ((W - e, 0), (e + 8, X))):
        g.line(beyond(a, b, -200), beyond(a, b, X + 200))
    g.clip(-50, 0, W + 50, X)


@glyph("y", "DD")
def _(g):
    W = 430 + g.w * 0.75
    v, a = (W / 2, g.w * 0.14), (g.h * 1.06, X)
    g.line(beyond(v, a, X + 200), v)
    right = (W - a[0], X)
    g.line(beyond(v, right, X + 200), beyond(v, right, DESC - 200))
    g.clip(-50, DESC, W + 50, X)


@glyph("z", "OO")
def _(g):
    zed(g, 372 + g.w * 0.65, X)


# --- figures, all of one width ----------------------------------------------------------------------------------------------

FIGURE = 470


@glyph("zero", "FF")
def _(g):
    rx = FIGURE / 2 - g.h + g.w * 0.15
    g.ring(FIGURE / 2, CAP / 2, rx, bowl_radius(g))


@glyph("one", "FF")
def _(g):
    x = FIGURE / 2 + 40
    stem(g, x)
    a, b = (x, CAP - g.v * 0.6), (x - 178, CAP - 150)
    g.line(a, b)
    g.clip(0, 0, x + g.h, CAP)


@glyph("two", "FF")
def _(g):
    rx, ry = 194 - g.h * 0.15, 190 - g.h * 0.1
    cx, cy = FIGURE / 2 - 6, CAP + OVER - g.v - ry
    start = (24 + g.h, g.v)
    g.stroke(*arc(cx, cy, rx, ry, 162, -38), ("L", start), ("L", (FIGURE - 8, g.v)))
    g.clip(0, 0, FIGURE + 40, CAP + 60)


@glyph("three", "FF")
def _(g):
    mid = CAP * 0.53
    top, bottom = CAP + OVER - g.v, g.v - OVER
    r1, r2 = (top - mid) / 2, (mid - bottom) / 2
    cx = FIGURE / 2 - 14
    g.stroke(*arc(cx, mid + r1, r1 * 1.06, r1, 150, -90), ("L", (cx - 50, mid)))
    g.stroke(("M", (cx - 50, mid)), *arc(cx, mid - r2, r2 * 1.08, r2, 90, -148, "L"))


@glyph("four", "FF")
def _(g):
    x, bar = FIGURE * 0.70, CAP * 0.235
    stem(g, x)
    g.line((-6, bar), (FIGURE + 14, bar))
    a, b = (g.h * 0.95, bar), (x - g.h * 0.1, CAP - g.v * 0.5)
    g.line(beyond(a, b, bar - 200), beyond(a, b, CAP + 200))
    g.clip(-6, bar - g.v, x + g.h, CAP)
    stem(g, x)
    g.line((-6, bar), (FIGURE + 14, bar))


@glyph("five", "FF")
def _(g):
    top, bottom = CAP - g.v, g.v - OVER
    high = CAP * 0.60 - g.v * 0.3
    ry = (high - bottom) / 2
    rx = ry * 1.06
    cx, left = FIGURE / 2 - 34, 40 + g.h
    g.stroke(("M", (FIGURE - 44, top)), ("L", (left + 12, top)), ("L", (left, high)), ("L", (cx, high)),
             *arc(cx, bottom + ry, rx, ry, 90, -146, "L"))


def six(g):
    ry = 218 - g.h * 0.2
    rx = FIGURE / 2 - g.h + g.w * 0.15
    cx, cy = FIGURE / 2, g.v - OVER + ry
    g.ring(cx, cy, rx, ry)
    top = (FIGURE * 0.80, CAP - g.v * 0.9)
    g.stroke(("M", (cx - rx, cy)), ("C", (cx - rx, cy + 190), (FIGURE * 0.42, CAP - 60), top))


@glyph("six", "FF")
def _(g):
    six(g)


@glyph("seven", "FF")
def _(g):
    g.line((10, CAP - g.v), (FIGURE - 10, CAP - g.v))
    a, b = (FIGURE * 0.27 + g.h * 0.2, 0), (FIGURE - 10 - g.h * 1.1, CAP)
    g.line(beyond(a, b, -200), beyond(a, b, CAP + 200))
    g.clip(0, 0, FIGURE - 10, CAP)


@glyph("eight", "FF")
def _(g):
    mid = CAP * 0.53
    top, bottom = CAP + OVER - g.v, g.v - OVER
    r1, r2 = (top - mid) / 2, (mid - bottom) / 2
    g.ring(FIGURE / 2, mid + r1, r1 * 1.04, r1)
    g.ring(FIGURE / 2, mid - r2, r2 * 1.12, r2)


@glyph("nine", "FF")
def _(g):
    six(g)
    g.turn(FIGURE / 2, CAP / 2)


# --- punctuation, signs, arrows ---------------------------------------------------------------------------------------------

@glyph("period", "PP")
def _(g):
    r = g.h * 1.16
    g.dot(r, r - 4)


def comma(g, x, y):
    r = g.h * 1.16
    g.dot(x, y)
    g.stroke(("M", (x + r - g.h * 0.36, y)), ("C", (x + r - g.h * 0.36, y - r * 1.1), (x + r * 0.1, y - r * 1.9),
             (x - r * 0.8, y - r * 2.3)), width=g.w * 0.42)


@glyph("comma", "PP")
def _(g):
    comma(g, g.h * 1.16, g.h * 1.16 - 4)


@glyph("colon", "PP")
def _(g):
    r = g.h * 1.16
    g.dot(r, r - 4)
    g.dot(r, X - r * 1.1)


@glyph("semicolon", "PP")
def _(g):
    r = g.h * 1.16
    comma(g, r, r - 4)
    g.dot(r, X - r * 1.1)


@glyph("exclam", "PP")
def _(g):
    r = g.h * 1.16
    g.dot(r, r - 4)
    g.fill((r - g.h, CAP), (r + g.h, CAP), (r + g.h * 0.72, 205), (r - g.h * 0.72, 205))


@glyph("question", "OO")
def _(g):
    rx = ry = 168
    cx, cy = 168 + g.h * 0.7, CAP + OVER - g.v - ry
    x = cx - 6
    g.stroke(*arc(cx, cy, rx, ry, 160, -42), ("C", (x + 55, cy - ry * 0.98), (x, cy - ry * 1.2), (x, 200)))
    g.dot(x, g.h * 1.16 - 4)


def dash(name, length):
    @glyph(name, "PP")
    def _(g):
        g.line((0, CAP * 0.36), (length, CAP * 0.36))


dash("hyphen", 270)
dash("endash", 460)
dash("emdash", 820)


@glyph("underscore", "NN")
def _(g):
    g.line((0, -70), (500, -70))


def tick(g, x):
    g.fill((x, CAP), (x + g.w, CAP), (x + g.w * 0.8, CAP - 235), (x + g.w * 0.2, CAP - 235))


@glyph("quotesingle", "PP")
def _(g):
    tick(g, 0)


@glyph("quotedbl", "PP")
def _(g):
    tick(g, 0)
    tick(g, g.w * 1.75)


def quote(name, count, turned):
    @glyph(name, "PP")
    def _(g):
        r = g.h * 1.16
        for i in range(count):
            comma(g, r + i * g.w * 1.95, CAP - r)
        if turned:
            g.turn((2 * r + (count - 1) * g.w * 1.95) / 2, CAP - r * 1.65)


quote("quoteleft", 1, True)
quote("quoteright", 1, False)
quote("quotedblleft", 2, True)
quote("quotedblright", 2, False)


@glyph("parenleft", "RO")
def _(g):
    g.stroke(*arc(g.h + 420, CAP / 2 - 10, 420, 560, 136, 224), width=g.w * 0.92)
    g.clip(-50, -150, 900, CAP + 130)


@glyph("parenright", "OR")
def _(g):
    g.stroke(*arc(-230, CAP / 2 - 10, 420, 560, 44, -44), width=g.w * 0.92)
    g.clip(-250, -150, 900, CAP + 130)


@glyph("bracketleft", "SO")
def _(g):
    g.line((210, CAP + 70), (g.h, CAP + 70), (g.h, -90), (210, -90))


@glyph("bracketright", "OS")
def _(g):
    g.line((0, CAP + 70), (210 - g.h, CAP + 70), (210 - g.h, -90), (0, -90))


def slash(name, flip):
    @glyph(name, "DD")
    def _(g):
        a, b = (g.h, -110), (360, CAP + 90)
        if flip:
            a, b = (a[0], b[1]), (b[0], a[1])
        g.line(beyond(a, b, -400 if not flip else 1200), beyond(a, b, 1200 if not flip else -400))
        g.clip(-100, -110, 600, CAP + 90)


slash("slash", False)
slash("backslash", True)


@glyph("bar", "SS")
def _(g):
    stem(g, g.h, -150, ASC + 60)


@glyph("ampersand", "RD")
def _(g):
    W = 560 + g.w * 0.7
    cx, top = 250 + g.h * 0.3, CAP + OVER - g.v
    r1 = 138
    low, ry = g.v - OVER, 190
    bx, brx = g.h + 205, 205
    a = (W - g.h * 1.1, 0)
    start = (cx - r1 * 0.84, top - r1 * 1.55)
    g.stroke(("M", beyond(a, start, -200)), ("L", start), ("C", (cx - r1 * 1.55, top - r1 * 0.62), (cx - r1 * 0.9, top),
             (cx, top)), ("C", (cx + r1 * 1.05, top), (cx + r1 * 1.35, top - r1 * 1.15), (cx + r1 * 0.35, top - r1 * 1.85)),
             ("C", (cx - 70, top - r1 * 2.25), (g.h, low + ry * 1.55), (g.h, low + ry * 0.92)),
             ("C", (g.h, low + ry * 0.35), (bx - brx * 0.55, low), (bx + 10, low)),
             ("C", (bx + brx * 0.95, low), (W - g.w * 0.75, low + ry * 0.8), (W - g.w * 0.55, X * 0.68)))
    g.clip(-50, low - g.v - 2, W + 60, CAP + 60)


@glyph("plus", "PP")
def _(g):
    g.line((0, CAP / 2), (460, CAP / 2), width=g.w * 0.94)
    g.line((230, CAP / 2 - 230), (230, CAP / 2 + 230), width=g.w * 0.94)


@glyph("minus", "PP")
def _(g):
    g.line((0, CAP / 2), (460, CAP / 2), width=g.w * 0.94)


@glyph("equal", "PP")
def _(g):
    g.line((0, CAP / 2 + 95), (460, CAP / 2 + 95), width=g.w * 0.94)
    g.line((0, CAP / 2 - 95), (460, CAP / 2 - 95), width=g.w * 0.94)


@glyph("multiply", "PP")
def _(g):
    g.line((30, CAP / 2 - 190), (410, CAP / 2 + 190), width=g.w * 0.92)
    g.line((30, CAP / 2 + 190), (410, CAP / 2 - 190), width=g.w * 0.92)


def angle(name, flip):
    @glyph(name, "PP")
    def _(g):
        x0, x1 = (20, 400) if not flip else (400, 20)
        g.line((x1, CAP / 2 + 200), (x0, CAP / 2), (x1, CAP / 2 - 200), width=g.w * 0.92)


angle("less", False)
angle("greater", True)


@glyph("asterisk", "PP")
def _(g):
    cx, cy, r = 165, CAP - 150, 165
    for a in (90, 210, 330):
        x, y = on(cx, cy, r, r, a)
        g.line((x, y), (2 * cx - x, 2 * cy - y), width=g.w * 0.72)


@glyph("numbersign", "PP")
def _(g):
    w = g.w * 0.78
    g.line((110, 0), (190, CAP), width=w)
    g.line((330, 0), (410, CAP), width=w)
    g.line((0, CAP * 0.66), (520, CAP * 0.66), width=w)
    g.line((0, CAP * 0.33), (520, CAP * 0.33), width=w)


@glyph("percent", "RR")
def _(g):
    keep, g.w = g.w, g.w * 0.8
    g.ring(135, CAP - 165, 122, 150)
    g.ring(615, 165, 122, 150)
    a, b = (190, 0), (560, CAP)
    g.line(beyond(a, b, -100), beyond(a, b, CAP + 100))
    g.w = keep
    g.clip(-100, -OVER, 900, CAP + OVER)


@glyph("periodcentered", "PP")
def _(g):
    g.dot(g.h * 1.16, CAP * 0.36)


@glyph("bullet", "PP")
def _(g):
    g.dot(g.h * 1.7, CAP * 0.36, 1.5)


def arrow(name, degrees):
    """An arrow whose head is an open angle with its point cut by nothing: it points."""
    @glyph(name, "AA")
    def _(g):
        n, y, reach = 700, CAP / 2, 232
        inner = Letter(g.w)
        tip = n - g.h * 1.2
        path = pathops.Path()
        path.moveTo(0, y)
        path.lineTo(tip - 4, y)
        path.stroke(g.w * 0.95, pathops.LineCap.BUTT_CAP, pathops.LineJoin.MITER_JOIN, 20)
        inner.add(path)
        path = pathops.Path()
        path.moveTo(tip - reach, y + reach)
        path.lineTo(tip, y)
        path.lineTo(tip - reach, y - reach)
        path.stroke(g.w * 0.95, pathops.LineCap.BUTT_CAP, pathops.LineJoin.MITER_JOIN, 20)
        inner.add(path)
        a = math.radians(degrees)
        c, s = round(math.cos(a)), round(math.sin(a))
        px, py = n / 2, y
        g.shape = inner.shape.transform(c, s, -s, c, px - c * px + s * py, py - s * px - c * py)


arrow("arrowright", 0)
arrow("arrowup", 90)
arrow("arrowleft", 180)
arrow("arrowdown", 270)


# --- the font ---------------------------------------------------------------------------------------------------------------

CODES = {"space": 0x20, "nbspace": 0xA0, "zero": 0x30, "one": 0x31, "two": 0x32, "three": 0x33, "four": 0x34, "five": 0x35,
         "six": 0x36, "seven": 0x37, "eight": 0x38, "nine": 0x39, "period": 0x2E, "comma": 0x2C, "colon": 0x3A,
         "semicolon": 0x3B, "exclam": 0x21, "question": 0x3F, "hyphen": 0x2D, "endash": 0x2013, "emdash": 0x2014,
         "underscore": 0x5F, "quotesingle": 0x27, "quotedbl": 0x22, "quoteleft": 0x2018, "quoteright": 0x2019,
         "quotedblleft": 0x201C, "quotedblright": 0x201D, "parenleft": 0x28, "parenright": 0x29, "bracketleft": 0x5B,
         "bracketright": 0x5D, "slash": 0x2F, "backslash": 0x5C, "bar": 0x7C, "ampersand": 0x26, "plus": 0x2B,
         "minus": 0x2212, "equal": 0x3D, "multiply": 0xD7, "less": 0x3C, "greater": 0x3E, "asterisk": 0x2A,
         "numbersign": 0x23, "percent": 0x25, "periodcentered": 0xB7, "bullet": 0x2022, "arrowleft": 0x2190,
         "arrowup": 0x2191, "arrowright": 0x2192, "arrowdown": 0x2193}


def bearings(weight):
    s = 88 - weight * 0.14
    return {"S": s, "R": s * 0.60, "D": s * 0.16, "O": s * 0.44, "T": s * 0.26, "F": s * 0.62, "P": s * 0.72, "N": 0, "A": s}


KERN = """
@A = [A]; @V = [V W]; @vs = [v w y]; @T = [T]; @O = [O C G Q]; @o = [o c e d q g]; @r = [r f]; @stop = [period comma];
@dash = [hyphen endash emdash]; @F = [F P]; @L = [L]; @n = [m n r p u s x z a]; @DO = [D O Q];
feature kern {
  pos @A @V -62; pos @V @A -62; pos A Y -74; pos Y A -74; pos @A T -58; pos T @A -58; pos A @O -22; pos @O A -16;
  pos A @vs -28; pos L T -88; pos L @V -76; pos L Y -92; pos L @O -22; pos L @vs -46; pos L [quoteright quotedblright quotesingle] -80;
  pos P A -70; pos F A -60; pos @F @stop -92; pos F @o -20; pos P @o -14; pos F a -24; pos P a -16;
  pos T @o -78; pos T @n -62; pos T @vs -58; pos T @stop -82; pos T @dash -60; pos T O -14;
  pos @V @o -40; pos @V @n -26; pos @V @stop -84; pos @V @dash -34; pos @V O -18; pos O @V -18; pos O Y -30; pos Y O -30;
  pos Y @o -76; pos Y @n -54; pos Y @stop -92; pos Y @dash -62; pos @O T -16; pos D [Y V] -22; pos D A -18;
  pos K @O -30; pos K @o -24; pos K @vs -30; pos R [V W Y T] -22; pos R @O -12;
  pos @vs @stop -58; pos @r @stop -58; pos r @o -30; pos r @n -8; pos @vs @o -14; pos @o @vs -12; pos k @o -22; pos @r @dash -24;
  pos [o b p] x -12; pos x @o -14; pos f f -8; pos t t -4; pos [b o p] @stop -12;
  pos one one -60; pos seven @stop -80; pos seven four -34; pos slash slash -90;
} kern;
"""


def build(style, weight, usweight, path):
    side = bearings(weight)
    glyphs, metrics = {}, {}

    def outline(shape, dx):
        pen = TTGlyphPen(None)
        shape = shape.transform(1, 0, 0, 1, dx, 0)
        shape.simplify(fix_winding=True, keep_starting_points=False)
        shape.draw(Cu2QuPen(pen, max_err=0.7, reverse_direction=True))
        return pen.glyph()

    frame = Letter(weight)
    frame.line((60, 40), (440, 40), (440, 660), (60, 660), close=True, width=50)
    glyphs[".notdef"], metrics[".notdef"] = outline(frame.shape, 0), 500
    for name in ("space", "nbspace"):
        glyphs[name], metrics[name] = TTGlyphPen(None).glyph(), round(262 - weight * 0.1)
    for name, (draw, sides) in GLYPHS.items():
        letter = Letter(weight)
        draw(letter)
        x0, _, x1, _ = letter.shape.bounds
        left, right = side[sides[0]], side[sides[1]]
        if sides == "FF":  # figures: one width for all, each in its middle
            advance = round(FIGURE + 2 * side["F"] + weight * 0.25)
            dx = (advance - (x1 - x0)) / 2 - x0
        else:
            advance, dx = round(left + (x1 - x0) + right), left - x0
        glyphs[name], metrics[name] = outline(letter.shape, dx), advance

    order = [".notdef", "space", "nbspace", *GLYPHS]
    fb = FontBuilder(UPM, isTTF=True)
    fb.setupGlyphOrder(order)
    fb.setupCharacterMap({CODES.get(n) or ord(n): n for n in order if n != ".notdef"})
    fb.setupGlyf(glyphs)
    fb.setupHorizontalMetrics({n: (metrics[n], getattr(fb.font["glyf"][n], "xMin", 0) or 0) for n in order})
    fb.setupHorizontalHeader(ascent=920, descent=-250, lineGap=0)
    full = FAMILY if style == "Regular" else f"{FAMILY} {style}"
    fb.setupNameTable({
        "copyright": "Drawn for the fingerpost project; same licence as the project.",
        "familyName": FAMILY, "styleName": style, "uniqueFontIdentifier": f"1.000;{full.replace(' ', '')}",
        "fullName": full, "version": "Version 1.000", "psName": f"FingerpostSans-{style}",
        "description": "A sign-lettering face: Roman proportions, one weight of stroke.",
    }, mac=False)
    bold = style == "Bold"
    fb.setupOS2(version=4, usWeightClass=usweight, usWidthClass=5, fsType=0, fsSelection=0x80 | (0x20 if bold else 0x40),
                sTypoAscender=920, sTypoDescender=-250, sTypoLineGap=0, usWinAscent=950, usWinDescent=260, sxHeight=X,
                sCapHeight=CAP, achVendID="NONE", usDefaultChar=0, usBreakChar=32, usMaxContext=2)
    fb.font["OS/2"].panose.bFamilyType = 2
    fb.font["OS/2"].panose.bWeight = 8 if bold else 5
    fb.font["OS/2"].recalcUnicodeRanges(fb.font)
    fb.font["OS/2"].recalcCodePageRanges(fb.font)
    fb.font["OS/2"].recalcAvgCharWidth(fb.font)
    fb.setupPost(isFixedPitch=0, underlinePosition=-110, underlineThickness=60, keepGlyphNames=False)
    fb.updateHead(created=EPOCH, modified=EPOCH, macStyle=1 if bold else 0, fontRevision=1.0, lowestRecPPEM=8)
    addOpenTypeFeaturesFromString(fb.font, KERN)
    fb.font.recalcTimestamp = False
    fb.font.flavor = "woff2"
    fb.font.save(path)
    return os.path.getsize(path)


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    for style, weight, usweight in (("Regular", 92, 400), ("Bold", 128, 700)):
        name = f"fingerpost-sans-{style.lower()}.woff2"
        print(name, build(style, weight, usweight, os.path.join(here, name)), "bytes")
