import HTTPTypes
import Hummingbird
import Model
import NIOCore

/// A plain HTML page in the house's one style: no script, nothing loaded, readable without the style as well.
struct Page {
    let title: String
    let body: HTML
    /// Whether it may send its own form back here.
    var hasForm = false

    private static let style: HTML = """
        :root{color-scheme:light dark;--line:#8884;--ok:#1a7f43;--warning:#8a5a00;--failed:#b3261e}
        @media(prefers-color-scheme:dark){:root{--ok:#5fd38d;--warning:#f0b95b;--failed:#ff8a80}}
        body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
        h1{font-size:1.6rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin-top:2rem}
        .brand{margin:0;font-weight:600;letter-spacing:.04em;opacity:.7}
        code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
        h1::before,td.ok::before,td.warning::before,td.alarm::before,td.failed::before{content:"● "}
        .ok{color:var(--ok)}.warning{color:var(--warning)}.alarm,.failed{color:var(--failed)}
        h1:not([class])::before{content:""}
        table{border-collapse:collapse;width:100%}caption{text-align:left;position:absolute;clip-path:inset(50%)}
        th,td{text-align:left;vertical-align:top;padding:.45rem .8rem .45rem 0;border-bottom:1px solid var(--line)}
        td+td{overflow-wrap:anywhere}td.ok,td.warning,td.alarm,td.failed{white-space:nowrap}
        .small{font-size:.875rem;opacity:.8}.notice{border-left:4px solid var(--warning);padding:.3rem .8rem;margin:1rem 0}
        .bars{display:flex;gap:1px;height:2.5rem;list-style:none;padding:0;margin:.5rem 0}
        .bars li{flex:1;background:currentColor;border-radius:1px;min-width:1px}.bars .none{color:var(--line)}
        .bars span{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
        pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);border-radius:4px;padding:.6rem .8rem}dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.2rem 1rem}dt{font-weight:600}dd{margin:0}
        input,button,select{font:inherit;padding:.4rem .6rem}label{display:block;margin:.8rem 0 .3rem}
        input:not([type=checkbox]){width:100%;max-width:24rem;box-sizing:border-box}button{cursor:pointer;margin-top:.6rem;white-space:nowrap}
        label.check{display:flex;gap:.5rem;align-items:baseline;margin:.2rem 0}fieldset{border:1px solid var(--line);margin:.8rem 0}
        a{color:inherit}:focus-visible{outline:3px solid #4a90d9;outline-offset:2px}.inline{display:inline}
        .inline button,td button{margin:0;padding:.2rem .5rem}.nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0;margin:.4rem 0}
        header{border-bottom:1px solid var(--line);padding-bottom:.6rem;margin-bottom:1rem}td form{display:inline}
        .asks{display:inline-block}.asks summary{cursor:pointer;text-decoration:underline;padding:.2rem .5rem}.asks>div{border-left:4px solid var(--failed);\
        padding:.1rem .8rem .5rem;margin:.3rem 0}.asks p{margin:.3rem 0}
        @media(max-width:32rem){table,tbody,tr,th,td{display:block;border:0;padding:0}thead{display:none}
        tr{padding:.5rem 0;border-bottom:1px solid var(--line)}td[data-label]:empty{display:none}
        td[data-label]:not([data-label=""])::before{content:attr(data-label) ": ";opacity:.7}}
        @media print{body{margin:0;max-width:none}.bars{print-color-adjust:exact}}
        """

    var response: Response {
        let html: HTML = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <title>\(title) · Postern</title><style>\(Self.style)</style></head><body>\(body)</body></html>
            """
        let form = hasForm ? "'self'" : "'none'"
        let headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'; form-action \(form); "
                + "frame-ancestors 'none'; base-uri 'none'",
            // With a form, the browser says to us alone where the form stood; a secret in an address goes nowhere else.
            .referrerPolicy: hasForm ? "same-origin" : "no-referrer",
        ]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html.text)))
    }
}

extension Response {
    /// The browser loads the page again every few seconds: it shows what goes on, and has no fields that somebody fills in.
    var refreshing: Response {
        var response = self
        response.headers[.refresh] = "5"
        return response
    }
}
