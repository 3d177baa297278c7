#!/usr/bin/env python3
"""Draws the raster images and the contour lines of the sample site.

    pip install pillow numpy contourpy
    python3 _draw.py            # writes hills-*.png, icon-*.png, og.png, contours.svg here, and ../public/favicon.ico

og.png is lettered in ../fonts/fingerpost-sans-bold.woff2, so draw the fonts first.
"""

import io
import os

import numpy as np
from contourpy import contour_generator
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

HERE = os.path.dirname(os.path.abspath(__file__))
INK, PAPER, GREEN, YELLOW = "#14211b", "#fdfdf8", "#0c5c40", "#f5c400"


def path(*parts):
    return os.path.join(HERE, *parts)


# --- the hills at the foot of the signpost ---------------------------------------------------------------------------------

# From the farthest ridge to the nearest: height of the ridge above the foot (share of the image), waves as (amplitude,
# cycles, phase), colour of the land, colour of its contour lines.
RIDGES = [
    (0.70, [(0.075, 0.9, 1.3), (0.034, 2.3, 0.6), (0.010, 5.1, 2.0)], "#c3d3c4", "#b4c7b6"),
    (0.55, [(0.085, 1.1, 4.1), (0.030, 2.7, 2.2), (0.008, 6.3, 0.3)], "#9cb9a1", "#8bab91"),
    (0.40, [(0.075, 0.8, 2.4), (0.030, 1.9, 5.0), (0.006, 7.0, 1.0)], "#6f9a7b", "#5f8b6c"),
    (0.24, [(0.050, 1.0, 0.2), (0.022, 2.2, 3.3)], "#3f7357", "#34654b"),
    (0.11, [(0.026, 0.7, 3.6), (0.012, 1.7, 1.1)], "#1f4a38", "#28573f"),
]


def ridge(base, waves, u):
    return base + sum(a * np.sin(2 * np.pi * c * u + p) for a, c, p in waves)


def hills(width, scale=3):
    w, h = width * scale, width * scale * 3 // 10
    image = Image.new("RGBA", (w, h), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    u = np.linspace(0, 1, w // 2 + 1)
    xs = u * w
    for n, (base, waves, land, line) in enumerate(RIDGES):
        crest = ridge(base, waves, u)
        draw.polygon([(0, h), *zip(xs, (1 - crest) * h), (w, h)], fill=land)
        below = RIDGES[n + 1] if n + 1 < len(RIDGES) else (0, [], None, None)
        foot = ridge(below[0], below[1], u) - 0.02
        for k in range(1, 9):
            # A contour is the crest flattened step by step towards the foot, drifting sideways as it goes down.
            drift = np.interp(u + 0.011 * k, u, crest)
            y = drift - (0.018 + 0.0034 * n) * k - 0.0009 * k * k
            keep = y > foot
            points = list(zip(xs, (1 - y) * h))
            run = []
            for point, ok in zip(points, keep):
                if ok:
                    run.append(point)
                    continue
                if len(run) > 2:
                    draw.line(run, fill=line, width=max(2, round(scale * width / 1100)), joint="curve")
                run = []
            if len(run) > 2:
                draw.line(run, fill=line, width=max(2, round(scale * width / 1100)), joint="curve")
        if n == 2:
            hedge(draw, u, crest, xs, h, w)
    image = image.resize((width, width * 3 // 10), Image.LANCZOS)
    return image.quantize(colors=96, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def hedge(draw, u, crest, xs, h, w):
    """Trees along one ridge: round, at uneven steps that a fixed sequence gives."""
    step = 0.0
    for k in range(64):
        step += 0.006 + 0.011 * ((k * 7919) % 13) / 13
        if (k // 7) % 3 == 2:
            step += 0.012
        at = int(step * (len(u) - 1))
        if at >= len(u):
            break
        r = w * (0.0030 + 0.0022 * ((k * 104729) % 7) / 7)
        x, y = xs[at], (1 - crest[at]) * h - r * 0.55
        draw.ellipse((x - r, y - r, x + r, y + r), fill="#4a7a5d")
        draw.rectangle((x - r * 0.14, y + r * 0.6, x + r * 0.14, y + r * 1.6), fill="#4a7a5d")


# --- the sign, as icons ---------------------------------------------------------------------------------------------------

def sign(size, ground, pad):
    """The logo (logo.svg) as pixels: a post with an arm each way."""
    s = 8 if size < 200 else 4
    n = size * s
    image = Image.new("RGBA", (n, n), ground if ground else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    k = n * (1 - 2 * pad) / 64
    o = n * pad
    at = lambda *points: [(o + x * k, o + y * k) for x, y in points]
    fore, mark = (PAPER, YELLOW) if ground else (INK, GREEN)
    draw.polygon(at((28.5, 12), (35.5, 12), (35.5, 62), (28.5, 62)), fill=fore)
    draw.ellipse(at((26.5, 1.5), (37.5, 12.5)), fill=fore)
    draw.polygon(at((10, 16), (53, 16), (61.5, 23.5), (53, 31), (10, 31)), fill=mark)
    draw.polygon(at((54, 35), (11, 35), (2.5, 42.5), (11, 50), (54, 50)), fill=fore)
    return image.resize((size, size), Image.LANCZOS)


def rounded(image, share):
    size = image.size[0]
    mask = Image.new("L", (size * 4, size * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size * 4 - 1, size * 4 - 1), radius=size * 4 * share, fill=255)
    image.putalpha(mask.resize((size, size), Image.LANCZOS))
    return image


def card():
    """og.png: the sign and the name, 1200 by 630."""
    image = Image.new("RGB", (1200, 630), "#eaf0e6")
    land = hills(1200, 2).convert("RGBA")
    image.paste(land, (0, 630 - land.height), land)
    data = io.BytesIO()
    font = TTFont(path("..", "fonts", "fingerpost-sans-bold.woff2"))
    font.flavor = None
    font.save(data)
    face = lambda size: ImageFont.truetype(io.BytesIO(data.getvalue()), size)
    draw = ImageDraw.Draw(image)
    draw.rectangle((1002, 96, 1034, 600), fill=PAPER)
    for y in range(96, 600, 96):
        draw.rectangle((1002, y, 1034, y + 47), fill=INK)
    draw.ellipse((985, 40, 1051, 106), fill=INK)
    draw.ellipse((999, 54, 1037, 92), fill=PAPER)
    for y, word, left in ((128, "PRODUCTION", False), (226, "STAGING", True)):
        box = [(700, y), (1076, y), (1122, y + 38), (1076, y + 76), (700, y + 76)]
        if left:
            box = [(1090, y), (736, y), (690, y + 38), (736, y + 76), (1090, y + 76)]
        draw.polygon(box, fill=PAPER)
        draw.line(box + [box[0], box[1]], fill=INK, width=6, joint="curve")
        draw.text((738 if not left else 1056, y + 39), word, font=face(44), fill=INK, anchor="lm" if not left else "rm")
    draw.text((72, 150), "fingerpost", font=face(104), fill=INK, anchor="lm")
    draw.text((76, 242), "Build once.", font=face(46), fill=GREEN, anchor="lm")
    draw.text((76, 300), "Point every URL.", font=face(46), fill=GREEN, anchor="lm")
    return image.quantize(colors=128, dither=Image.Dither.NONE)


# --- contour lines ----------------------------------------------------------------------------------------------------------

def contours():
    """A tile of map contours that repeats without a seam: every wave of the height field fits the tile a whole number of times."""
    n, size = 180, 720
    t = np.linspace(0, 2 * np.pi, n + 1)
    x, y = np.meshgrid(t, t)
    z = (np.sin(x + 0.6 * np.cos(y)) + 0.9 * np.cos(y - 0.5 * np.sin(2 * x)) + 0.45 * np.sin(2 * x + y + 1.0)
         + 0.35 * np.cos(x - 2 * y + 0.4) + 0.15 * np.sin(3 * y + x))
    lines = contour_generator(z=z)
    levels = np.linspace(z.min() + 0.2, z.max() - 0.2, 13)
    groups = {True: [], False: []}
    for index, level in enumerate(levels):
        for line in lines.lines(level):
            points = line[::5] if len(line) > 14 else line
            if not np.array_equal(points[-1], line[-1]):
                points = np.vstack([points, line[-1]])
            points = np.round(points * size / n).astype(int)
            d = "M{} {}".format(*points[0])
            # Catmull-Rom through the points, written as cubic curves in relative integers.
            closed = np.array_equal(points[0], points[-1])
            for k in range(len(points) - 1):
                before = points[k - 1] if k else (points[-2] if closed else points[0])
                after = points[k + 2] if k + 2 < len(points) else (points[1] if closed else points[-1])
                a = np.round((points[k + 1] - before) / 6).astype(int)
                b = np.round(points[k + 1] - points[k] - (after - points[k]) / 6).astype(int)
                e = points[k + 1] - points[k]
                d += "c" + " ".join(str(v) for v in (*a, *b, *e)).replace(" -", "-")
            groups[index % 4 == 0].append(d)
    with open(path("contours.svg"), "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}">\n')
        out.write('  <g fill="none" stroke="#b0813c" stroke-opacity=".34">\n')
        out.write(f'    <path d="{"".join(groups[False])}"/>\n')
        out.write(f'    <path stroke-width="1.9" d="{"".join(groups[True])}"/>\n  </g>\n</svg>\n')


if __name__ == "__main__":
    for width in (480, 960, 1440, 1920):
        hills(width).save(path(f"hills-{width}.png"), optimize=True)
    rounded(sign(192, GREEN, 0.15), 0.2).save(path("icon-192.png"), optimize=True)
    rounded(sign(512, GREEN, 0.15), 0.2).save(path("icon-512.png"), optimize=True)
    sign(512, GREEN, 0.23).convert("RGB").save(path("icon-maskable-512.png"), optimize=True)
    sign(180, GREEN, 0.16).convert("RGB").save(path("apple-touch-icon.png"), optimize=True)
    small = [rounded(sign(n, GREEN, 0.06), 0.16) for n in (48, 32, 16)]
    small[0].save(path("..", "public", "favicon.ico"), sizes=[(48, 48), (32, 32), (16, 16)], append_images=small[1:])
    card().save(path("og.png"), optimize=True)
    contours()
