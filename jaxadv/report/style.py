"""The style sheet of report.html: light and dark, phone and desktop, no fonts or files from elsewhere."""

STYLE = """
:root{--paper:#fbfbf9;--card:#fff;--ink:#1c1f24;--soft:#5d646f;--line:#e3e3de;--tint:#f2f2ee;--accent:#2b5c9e;--bar:#d6e2f3}
@media (prefers-color-scheme:dark){
:root{--paper:#14161a;--card:#1b1e23;--ink:#e6e7e9;--soft:#9aa2ad;--line:#31353c;--tint:#23272d;--accent:#8fb8f0;--bar:#2a405f}
}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
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
.numbers th button{all:unset;cursor:pointer;position:relative;display:inline-block;padding-right:.85rem}
.numbers th button:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
.numbers th button::after{content:"↕";opacity:.35;position:absolute;right:0;bottom:0}
.numbers th[aria-sort] button::after{opacity:1;color:var(--accent)}
.numbers th[aria-sort=ascending] button::after{content:"↑"}
.numbers th[aria-sort=descending] button::after{content:"↓"}
.numbers td.text{text-align:left}
.claims td,.claims th{white-space:normal!important;vertical-align:top}
.claims td:nth-child(2){min-width:15rem}
.claims td:nth-child(2) small{display:block}
.claims td:nth-child(3){white-space:nowrap!important}
.claims td:last-child{min-width:20rem;overflow-wrap:anywhere}
.analysis td.text{white-space:normal;min-width:6.5rem}
.analysis td:first-child{min-width:13rem}
.overview small{display:block;font-weight:400;font-size:.74rem}
.overview td>small:first-of-type:not(:last-child){display:inline}
.overview thead small{white-space:normal;max-width:8.5rem;margin-left:auto;line-height:1.3}
.findings{grid-template-columns:minmax(9rem,15rem) 1fr;gap:.7rem 1.6rem;font-size:1rem;max-width:64rem;margin:0}
.findings dt{font:inherit;font-weight:600}
.findings dd{color:inherit}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr));gap:1.2rem}
.charts+details .charts{margin-top:.8rem}
.chart{margin:0 0 1.2rem;min-width:0}
.charts .chart{margin:0}
.chart .scroll{padding:.7rem}
.chart svg{display:block;max-width:100%;min-width:30rem;height:auto;margin:0 auto}
.pictures th,.pictures td{padding:.25rem .3rem;text-align:center;vertical-align:top}
.pictures thead th{color:var(--soft);font-size:.76rem;line-height:1.35;vertical-align:bottom;padding-bottom:.5rem;min-width:8rem}
.pictures thead th:first-child,.pictures thead th:nth-child(2){min-width:0}
.pictures thead i{font-style:normal;color:var(--ink)}
.pictures tbody th{text-align:left;white-space:nowrap;vertical-align:middle;position:sticky;left:0;background:var(--card);
padding-right:.7rem}
.pictures img{display:block;margin:0 auto;image-rendering:pixelated;border-radius:3px}
.pictures small{display:block;white-space:nowrap;line-height:1.5}
.pictures td+td+td{padding-left:.3rem}
.scroll:has(>.pictures){width:fit-content;padding:.6rem}
.numbers td.share{background:linear-gradient(90deg,var(--bar) var(--share),transparent 0)}
.about{width:100%;font-size:.92rem;border-top:1px solid var(--line)}
.about th,.about td{padding:.45rem .8rem .45rem 0;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.about th{color:var(--soft);width:11rem;font-weight:400}
details{margin:.8rem 0 0}
summary{cursor:pointer;color:var(--accent);font-size:.92rem}
pre{padding:1rem;margin:.6rem 0 0;max-height:28rem;overflow:auto}
.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,34rem),1fr));gap:2rem 1.2rem}
.maps>div,figure{margin:0;min-width:0}
details figure{margin-top:1rem}
figcaption{font-weight:600}
.chart .what{font-weight:400;margin:.4rem 0 0}
.what{color:var(--soft);font-size:.86rem;margin:0 0 .5rem}
details .what{margin-top:.8rem}
.maps .scroll{width:fit-content;padding:.6rem}
.heat{border-spacing:2px;font-size:.68rem}
.heat td{font-size:.64rem;min-width:1.32rem;height:1.35rem;text-align:center;border-radius:2px;padding:0}
.heat .gap{border-left:4px solid var(--card);background-clip:padding-box}
.heat tr.gap>*{border-top:4px solid var(--card);background-clip:padding-box}
.heat tbody th{padding-right:.6rem;white-space:nowrap;position:sticky;left:-.6rem;padding-left:.6rem;background:var(--card)}
.heat .shown{vertical-align:bottom;padding:0 0 .3rem}
.heat .shown span{writing-mode:vertical-rl;transform:rotate(180deg);display:block;margin:0 auto;white-space:nowrap;line-height:1}
.heat .corner{vertical-align:bottom;color:var(--soft);font-size:.68rem;font-weight:400;white-space:nowrap;padding:0 .6rem .3rem}
.own{box-shadow:inset 0 0 0 1.5px currentColor}
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
dl,.findings{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.6rem}
.key{margin-left:0}
}
@media print{
:root{--paper:#fff;--card:#fff;--ink:#1c1f24;--soft:#5d646f;--line:#d9d9d3;--tint:#f2f2ee;--accent:#2b5c9e;--bar:#d6e2f3}
main{max-width:none;padding:0}
.scroll{overflow:visible;border:0}
nav,.numbers th button::after{display:none}
figure,tr{break-inside:avoid}
.charts,.maps{display:block}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""
