"""The style sheet of report.html: light and dark, phone and desktop, no fonts or files from elsewhere."""

STYLE = """
:root{--paper:#fbfbf9;--card:#fff;--ink:#1c1f24;--soft:#5d646f;--line:#e3e3de;--tint:#f2f2ee;--accent:#2b5c9e;--bar:#d6e2f3}
@media (prefers-color-scheme:dark){
:root{--paper:#14161a;--card:#1b1e23;--ink:#e6e7e9;--soft:#9aa2ad;--line:#31353c;--tint:#23272d;--accent:#8fb8f0;--bar:#2a405f}
}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:80rem;margin:0 auto;padding:2.5rem clamp(1rem,3vw,2rem) 4rem}
h1{font-size:clamp(1.6rem,4vw,2.3rem);line-height:1.15;letter-spacing:-.02em;margin:.1rem 0 1rem}
h2{font-size:1.35rem;letter-spacing:-.01em;margin:0 0 .8rem}
h3{font-size:1.02rem;margin:1.6rem 0 .5rem}
section{padding-top:2.6rem}
section>p{max-width:46rem;margin:0 0 .8rem}
a{color:var(--accent);text-decoration:none}
a:hover{text-decoration:underline}
code,pre{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.run{margin:0;color:var(--soft);overflow-wrap:anywhere}
.facts{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;list-style:none;margin:0 0 1rem;padding:0;color:var(--soft)}
.facts b{color:var(--ink);font-variant-numeric:tabular-nums}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding:.7rem 0;border-block:1px solid var(--line);font-size:.92rem}
.scroll{overflow-x:auto;max-width:100%;background:var(--card);border:1px solid var(--line);border-radius:8px}
table{border-collapse:separate;border-spacing:0;font-size:.84rem;font-variant-numeric:tabular-nums}
th{font-weight:500;text-align:left}
.numbers th,.numbers td{padding:.32rem .5rem;white-space:nowrap;text-align:right;border-bottom:1px solid var(--line)}
.numbers thead th{color:var(--soft);font-size:.8rem;vertical-align:bottom;background:var(--tint);cursor:help}
.numbers thead th.pair{text-align:center;color:var(--ink);border-left:1px solid var(--line)}
.numbers thead th.text,.numbers tbody th{text-align:left}
.numbers tbody:last-child tr:last-child>*{border-bottom:0}
.scroll:has(>.numbers){width:fit-content}
.numbers tr>th:first-child{padding-left:.8rem;position:sticky;left:0;background:var(--card);z-index:1}
.numbers thead tr:first-child>th:first-child,.numbers .group th{background:var(--tint)}
.numbers thead tr+tr>th:first-child{position:static;background:var(--tint)}
.numbers .group th{font-weight:600;position:static}
.numbers .group span{position:sticky;left:.8rem}
.numbers small,.quiet{color:var(--soft)}
.numbers td.share{background:linear-gradient(90deg,var(--bar) var(--share),transparent 0)}
.about{width:100%;font-size:.92rem;border-top:1px solid var(--line)}
.about th,.about td{padding:.45rem .8rem .45rem 0;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.about th{color:var(--soft);width:11rem;font-weight:400}
details{margin:.8rem 0 0}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
pre{padding:1rem;margin:.6rem 0 0;max-height:28rem;overflow:auto}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));gap:2rem 1.6rem}
figure{margin:0;min-width:0}
figure.big{grid-column:1/-1}
figcaption{font-weight:600}
.what{color:var(--soft);font-size:.86rem;margin:0 0 .5rem}
details .what{margin-top:.8rem}
.maps .scroll{width:fit-content;padding:.6rem}
.heat{border-spacing:3px;font-size:.82rem}
.heat td{min-width:2.7rem;height:2.1rem;text-align:center;border-radius:3px;padding:0 .2rem}
.heat tbody th{padding-right:.6rem;white-space:nowrap;position:sticky;left:-.6rem;padding-left:.6rem;background:var(--card)}
.heat .shown{vertical-align:bottom;padding:0 0 .3rem}
.heat .shown span{writing-mode:vertical-rl;transform:rotate(180deg);display:block;margin:0 auto;white-space:nowrap;line-height:1}
.heat .corner{vertical-align:bottom;color:var(--soft);font-size:.76rem;font-weight:400;white-space:nowrap;padding:0 .6rem .3rem}
.own{box-shadow:0 0 0 2px var(--ink)}
.none{color:var(--soft);background:var(--tint)}
.legend{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem .7rem;font-size:.86rem;color:var(--soft)}
.ramp{display:inline-block;width:11rem;height:.9rem;border-radius:3px}
.key{display:inline-flex;align-items:center;gap:.4rem;margin-left:.6rem}
.key b{display:inline-block;width:1.5rem;height:1.2rem;border-radius:3px;line-height:1.2rem;text-align:center;font-weight:400}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.2rem;font-size:.88rem;margin:.8rem 0 0}
dt{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.9em}
dd{margin:0;color:var(--soft)}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.88rem}
@media (max-width:640px){
main{padding-top:1.5rem}
.about,.about tbody,.about tr,.about th,.about td{display:block;width:100%}
.about th{border:0;padding-bottom:0}
.about td{padding-top:0}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.6rem}
.key{margin-left:0}
}
@media print{.scroll{overflow:visible;border:0}nav{display:none}.heat td{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
