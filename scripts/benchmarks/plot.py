"""The picture of `make bench`: what a delivery costs, by relay, on a logarithmic scale. Plain SVG, readable in light and dark."""

import math
from html import escape

WIDTH, LEFT, RIGHT, BAR, GAP = 800, 225, 70, 11, 14
COLOURS = {"Postern": "#c2410c", "NATS": "#2563eb", "nginx+nchan": "#15803d", "Mosquitto": "#7c3aed", "node ws": "#64748b",
           "uWebSockets": "#0e7490"}


def size(count):
    return f"{count} B" if count < 1024 else f"{count // 1024} KiB"


def deliveries(results):
    found = [result for result in results if result["case"] == "deliveries"]
    cases = list(dict.fromkeys((r["tls"], r["bytes"], r["guests"], r["window"]) for r in found))
    relays = [name for name in COLOURS if any(r["relay"] == name for r in found)]
    if not found:
        return '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
    low = math.floor(math.log10(min(r["cost"] for r in found)))
    high = math.ceil(math.log10(max(r["cost"] for r in found)))
    def x(cost):
        return LEFT + (math.log10(cost) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    parts, y = [], 64
    for case in cases:
        tls, payload, guests, window = case
        label = f"{size(payload)} × {guests}, {window} under way{', TLS' if tls else ''}"
        top = y
        for relay in relays:
            cost = next((r["cost"] for r in found if (r["tls"], r["bytes"], r["guests"], r["window"]) == case and r["relay"] == relay), None)
            if cost:
                parts.append(f'<rect x="{LEFT}" y="{y}" width="{x(cost) - LEFT:.1f}" height="{BAR - 2}" fill="{COLOURS[relay]}"/>'
                             f'<text x="{x(cost) + 4:.1f}" y="{y + 8}" class="s">{cost:.2f}</text>')
                y += BAR
        parts.append(f'<text x="{LEFT - 8}" y="{(top + y) / 2 + 4}" text-anchor="end">{escape(label)}</text>')
        y += GAP
    grid = "".join(f'<line x1="{x(10 ** p):.1f}" x2="{x(10 ** p):.1f}" y1="56" y2="{y}" class="g"/>'
                   f'<text x="{x(10 ** p):.1f}" y="52" text-anchor="middle" class="s">{10 ** p:g}</text>'
                   for p in range(low, high + 1))
    legend, at = "", LEFT
    for relay in relays:
        legend += f'<rect x="{at}" y="26" width="10" height="10" fill="{COLOURS[relay]}"/><text x="{at + 14}" y="35">{escape(relay)}</text>'
        at += 26 + 8 * len(relay)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 8}" viewBox="0 0 {WIDTH} {y + 8}" role="img" '
            'aria-label="CPU seconds per million deliveries, by relay">'
            '<style>text{font:12px sans-serif;fill:#334155}.s{font-size:10px}.g{stroke:#94a3b8;stroke-width:.5}'
            '@media(prefers-color-scheme:dark){text{fill:#cbd5e1}}</style>'
            f'<text x="{LEFT}" y="16">CPU seconds of the relay per million deliveries (logarithmic; shorter is better)</text>'
            f'{legend}{grid}{"".join(parts)}</svg>\n')
