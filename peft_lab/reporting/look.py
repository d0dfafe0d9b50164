"""How the page looks: on a screen wide or narrow, light or dark, and on paper."""

from __future__ import annotations

LIGHT = {
    "ink": "#1b1e23",
    "soft": "#545b66",
    "paper": "#ffffff",
    "raised": "#f3f5f8",
    "line": "#c9cfd8",
    "accent": "#00568a",
    "tint": "#e4f0f8",
    "good": "#00694d",
    "bad": "#a63c00",
}
DARK = {
    "ink": "#e7e9ec",
    "soft": "#a9b1bd",
    "paper": "#15181c",
    "raised": "#1f242a",
    "line": "#454d58",
    "accent": "#7cc4f2",
    "tint": "#12303f",
    "good": "#5fd3ac",
    "bad": "#ff9a6b",
}
READ_ON = {
    "ink": ("paper", "raised", "tint"),
    "soft": ("paper", "raised", "tint"),
    "accent": ("paper", "raised", "tint"),
    "good": ("paper", "raised"),
    "bad": ("paper", "raised"),
}
"""Which colours are text on which: each pair can be read."""


def variables(colours: dict[str, str]) -> str:
    """Colours as custom properties."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,"DejaVu Sans","Noto Sans",sans-serif;overflow-wrap:anywhere}
:lang(ja){font-family:"Hiragino Sans","Hiragino Kaku Gothic ProN","Noto Sans JP","Noto Sans CJK JP","Yu Gothic",Meiryo,
system-ui,sans-serif;line-break:strict}
main{max-width:54rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .4rem;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;margin:2.6rem 0 .6rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1.02rem;margin:1.5rem 0 .3rem}
p{margin:.5rem 0;max-width:46rem}
ul,ol{margin:.5rem 0;padding-left:1.4rem;max-width:46rem}
li{margin:.3rem 0}
.meta,.small,figcaption,caption{color:var(--soft);font-size:.875rem}
.answer{background:var(--tint);border-left:6px solid var(--accent);border-radius:6px;padding:.9rem 1.2rem;margin:1rem 0}
.answer p{margin:.35rem 0}
.answer .kicker+p{font-size:1.2rem;line-height:1.5;font-weight:600}
.kicker{color:var(--accent);font-weight:700;font-size:.85rem;letter-spacing:.02em;margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1rem 0;padding:0}
.tile{background:var(--raised);border-radius:6px;padding:.6rem .8rem;margin:0}
.tile dt{color:var(--soft);font-size:.82rem;line-height:1.35}
.tile dd{margin:.1rem 0 0;font-size:1.3rem;font-weight:700;line-height:1.25}
.tile dd span{display:block;font-size:.82rem;font-weight:400;color:var(--soft)}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.92rem;overflow-wrap:break-word}
table.few{width:auto;min-width:min(100%,26rem)}
td code,td pre,blockquote{overflow-wrap:anywhere}
caption{text-align:left;padding:0 0 .4rem}
th,td{padding:.38rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{border-bottom:2px solid var(--line);font-size:.82rem;line-height:1.35;vertical-align:bottom;font-weight:600}
thead th.n,thead th.t{white-space:normal}
th,td{min-width:3.6rem}
tbody th{font-weight:600;min-width:6.5rem}
td:last-child:not(.n){min-width:7rem}
td blockquote{min-width:13rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.t{white-space:nowrap}
tr.best th,tr.best td{background:var(--tint)}
.better{color:var(--good);font-weight:600}
.worse{color:var(--bad);font-weight:600}
figure{margin:1.2rem 0}
figure img{display:block;max-width:100%;height:auto;background:#fff;border-radius:4px}
figcaption{margin-top:.4rem;max-width:46rem}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.88em}
code{background:var(--raised);padding:.1em .3em;border-radius:3px}
pre{background:var(--raised);padding:.7rem .9rem;border-radius:6px;white-space:pre-wrap;margin:.6rem 0}
details{margin:.6rem 0;border:1px solid var(--line);border-radius:6px;padding:.4rem .8rem}
summary{cursor:pointer;color:var(--accent)}
dl.terms dt{font-weight:600;margin-top:.6rem}
dl.terms dd{margin:.1rem 0 0;max-width:46rem}
blockquote{margin:0;white-space:pre-wrap}
svg{display:block;color:var(--accent);margin-top:.35rem}
td .small{display:block;white-space:nowrap}
a{color:var(--accent)}
@media (max-width:36rem){main{padding:1rem .9rem 3rem}h1{font-size:1.4rem}.answer .kicker+p{font-size:1.08rem}
body{font-size:15px}}
@page{size:A4;margin:17mm 15mm}
@media print{body{font-size:10pt;line-height:1.45}main{max-width:none;padding:0}h1{font-size:18pt}h2{font-size:13pt;
margin-top:7mm}h2,h3,caption,summary{break-after:avoid}tr,figure,.answer,.tile,li{break-inside:avoid}
.answer,.tile,tr.best th,tr.best td,svg,code,pre{-webkit-print-color-adjust:exact;print-color-adjust:exact}
.wide{overflow:visible}table{font-size:9pt}th,td{padding:1mm 1.6mm}figure img{max-height:105mm;width:auto}
thead{display:table-header-group}a{text-decoration:none}details{break-inside:auto}}
"""


def css() -> str:
    """The style sheet. Paper is always light."""
    light, dark = variables(LIGHT), variables(DARK)
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{RULES}"
    )
