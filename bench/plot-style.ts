/** Style sheet of the plots: light and dark by the reader's preference. */
export const plotStyle = `
:root { color-scheme: light dark; --paper: #f7f8fa; --card: #ffffff; --ink: #16202c; --soft: #5a6877; --line: #dde3ea;
  --kept: #2a9d8f; --missed: #e4572e; --free: #7c8fa3; }
@media (prefers-color-scheme: dark) { :root { --paper: #10151b; --card: #182029; --ink: #e8edf3; --soft: #98a6b5; --line: #2a3542;
  --kept: #57c9b9; --missed: #ff8a66; --free: #8496a8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 2.5rem 1rem 4rem; display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
header, section { grid-column: 1 / -1; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.2rem 1.4rem; min-width: 0; }
section.curve { grid-column: auto; }
.kicker { margin: 0; color: var(--soft); font-size: .85rem; letter-spacing: .08em; text-transform: uppercase; }
h1 { margin: .2rem 0 .6rem; font-size: 2rem; line-height: 1.15; } h2 { margin: 0 0 .6rem; font-size: 1.05rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
.grid { stroke: var(--line); } .base { stroke: var(--soft); } .promise { stroke: var(--ink); stroke-width: 2; }
.bar.kept { fill: var(--kept); } .bar.missed { fill: var(--missed); } .bar.free { fill: var(--free); }
.curve-line { fill: none; stroke: var(--kept); stroke-width: 2; } .curve-line.missed { stroke: var(--missed); }
.dot { fill: var(--kept); } .dot.missed { fill: var(--missed); } .ideal { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; }
.legend { color: var(--soft); font-size: .9rem; margin: .8rem 0 0; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 .8em; border-radius: 3px; }
.key.kept { background: var(--kept); } .key.missed { background: var(--missed); } .key.free { background: var(--free); }
.key.promise { background: var(--ink); width: 2px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .25rem; border-top: 1px solid var(--line); text-align: right; font-weight: 400; } tbody th { text-align: left; }
dl { margin: 0; } dt { font-weight: 600; } dd { margin: 0 0 .6rem; color: var(--soft); overflow-wrap: anywhere; }
`;
