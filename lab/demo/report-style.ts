/** The report's style sheet: light and dark by the reader's preference, nothing loaded from anywhere. */
export const reportStyle = `
:root { color-scheme: light dark; --paper: #f7f8fa; --card: #ffffff; --ink: #16202c; --soft: #5a6877; --line: #dde3ea;
  --intact: #2a9d8f; --lost: #e4572e; --frame: #16202c; --good: #1f7a6f; --ill: #b93815; }
@media (prefers-color-scheme: dark) { :root { --paper: #10151b; --card: #182029; --ink: #e8edf3; --soft: #98a6b5; --line: #2a3542;
  --intact: #2f8f83; --lost: #ff6b40; --frame: #ffffff; --good: #57c9b9; --ill: #ff8a66; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
header { max-width: 50rem; }
.kicker { margin: 0; color: var(--soft); font-size: .85rem; letter-spacing: .08em; text-transform: uppercase; }
h1 { margin: .3rem 0 1rem; font-size: clamp(1.6rem, 4vw, 2.5rem); line-height: 1.15; letter-spacing: -.02em; text-wrap: balance; }
h2 { margin: 0 0 .5rem; font-size: 1.15rem; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; color: var(--soft); font-weight: 600; }
code { font: .92em ui-monospace, monospace; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem; margin: 2rem 0 1rem; padding: 0;
  background: none; border: 0; }
article, section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.25rem 1.4rem; }
section { margin-top: 1.25rem; }
.big { display: flex; align-items: baseline; gap: .5rem; margin: 0 0 1rem; color: var(--soft); }
.big strong { font-size: 2.4rem; line-height: 1; color: var(--ink); font-variant-numeric: tabular-nums; }
.big span { margin-left: auto; font-weight: 600; }
.good { color: var(--good); } .ill { color: var(--ill); }
svg { display: block; width: 100%; height: auto; }
.intact { fill: var(--intact); background: var(--intact); } .lost { fill: var(--lost); background: var(--lost); }
rect.bad { stroke: var(--frame); stroke-width: 2.5; }
.legend { color: var(--soft); font-size: .9rem; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 .8em; border-radius: 3px; }
.key:first-child { margin-left: 0; } .key.bad { outline: 2px solid var(--frame); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .25rem; border-top: 1px solid var(--line); text-align: right; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; } tbody th { text-align: left; font-weight: 400; }
dl { display: grid; grid-template-columns: minmax(12rem, max-content) 1fr; gap: .4rem 1.5rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; } }
.timeline { list-style: none; margin: 0; padding: 0; }
.timeline li { display: flex; gap: 1rem; padding: .3rem 0 .3rem 1rem; border-left: 2px solid var(--intact); }
.timeline time { flex: 0 0 5rem; text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; }
footer { margin-top: 2rem; color: var(--soft); font-size: .85rem; }
`;
