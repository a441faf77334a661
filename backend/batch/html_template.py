"""The frame of the index page: its HTML, its style, the few lines of script that filter. Text only, `$name` is filled.

The figures' bounds and the cards are `page.py`'s.
"""

from __future__ import annotations

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
$refresh
<title>$title</title>
<style>
:root { --ground: #f4f5f6; --card: #ffffff; --ink: #1b2329; --soft: #64727c; --line: #dde2e6;
  --good: #16794c; --bad: #c0262d; --look: #a35d00; --accent: #0b6e6e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181b; --card: #1e2429; --ink: #e7ecef; --soft: #98a6b0;
  --line: #323b42; --good: #5fcf97; --bad: #ff7b7f; --look: #ffb84d; --accent: #58c7c7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 0 0 8px; }
h3 { font-size: 16px; margin: 0; overflow-wrap: anywhere; }
a { color: var(--accent); } p { margin: 4px 0; }
.subtitle, .source, .remedy, figcaption { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 18px;
  min-width: 140px; flex: 1; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); }
.tile.done b { color: var(--good); } .tile.failed b { color: var(--bad); } .tile.look b { color: var(--look); }
.failures { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--bad);
  border-radius: 10px; padding: 14px 18px; margin: 0 0 20px; }
.failures table { border-collapse: collapse; width: 100%; }
.failures td { vertical-align: top; padding: 6px 14px 6px 0; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
.failures td:first-child { width: 26%; }
nav { display: flex; gap: 8px; margin: 0 0 14px; }
nav button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); cursor: pointer;
  border-radius: 999px; padding: 5px 14px; }
nav button[aria-pressed=true] { background: var(--accent); border-color: var(--accent); color: #fff; }
.card { display: grid; grid-template-columns: 400px 1fr; gap: 18px; background: var(--card); padding: 14px;
  border: 1px solid var(--line); border-left: 5px solid var(--good); border-radius: 10px; margin: 0 0 14px; }
.card.failed { border-left-color: var(--bad); } .card.look { border-left-color: var(--look); }
.card.waiting, .card.running, .card.stopped { border-left-color: var(--line); }
.card.bare { grid-template-columns: 1fr; } .card[hidden] { display: none; }
.video, .video.none { width: 100%; height: 215px; background: #101417; border-radius: 6px; display: block;
  object-fit: contain; }
.video.none { display: grid; place-items: center; color: #7d8b95; }
.stills { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; margin-top: 4px; }
.stills img { width: 100%; height: 78px; object-fit: contain; background: #101417; border-radius: 4px; }
.badge { font-size: 12px; font-weight: 600; border-radius: 999px; padding: 2px 9px; border: 1px solid currentColor;
  white-space: nowrap; color: var(--soft); }
.badge.done { color: var(--good); } .badge.failed { color: var(--bad); } .badge.look { color: var(--look); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 8px; margin: 10px 0; }
.figures b { font-size: 18px; font-variant-numeric: tabular-nums; }
.figures span { display: block; color: var(--soft); font-size: 13px; }
.figures .bad b { color: var(--look); }
.warning::before { content: "! "; font-weight: 700; color: var(--look); }
.warning { overflow-wrap: anywhere; }
.cameras { font-size: .85em; border-collapse: collapse; margin: .4em 0; }
.cameras th, .cameras td { text-align: left; padding: .1em .9em .1em 0; font-weight: 400; }
.reasons b { color: var(--bad); } .reasons { overflow-wrap: anywhere; white-space: pre-line; }
.links { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 10px; }
.links a { text-decoration: none; border: 1px solid var(--line); border-radius: 6px; padding: 3px 10px; }
.links a span { color: var(--soft); font-size: 13px; }
details { margin-top: 8px; color: var(--soft); font-size: 13px; } summary { cursor: pointer; }
@media (max-width: 820px) { .card { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="subtitle">$subtitle</p>
<div class="tiles">$tiles</div>
$failures
<nav aria-label="Show"><button data-show="" aria-pressed="true">All</button
><button data-show="failed" aria-pressed="false">Failed</button
><button data-show="look" aria-pressed="false">Want a look</button
><button data-show="done" aria-pressed="false">Good</button></nav>
$cards
<p class="subtitle">A clip wants a look when it has a warning of its own or a figure in colour: fewer than 90 % of
its frames with a pose, confidence under 50 %, feet that slide faster than 5 cm/s while they stand or go deeper than
5 cm, or a mean acceleration over 30 m/s². The videos show the image with keypoints (white) and solved skeleton, and
the body from its side.</p>
</main>
<script>
for (const button of document.querySelectorAll("nav button")) button.onclick = () => {
  for (const other of document.querySelectorAll("nav button")) other.setAttribute("aria-pressed", other === button);
  for (const card of document.querySelectorAll(".card"))
    card.hidden = Boolean(button.dataset.show) && card.dataset.kind !== button.dataset.show;
};
</script>
</body>
</html>
"""
