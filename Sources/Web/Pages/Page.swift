import HTTPTypes
import Hummingbird
import NIOCore

/// A plain HTML page in the house's one style: no script, nothing loaded, readable without the style as well.
struct Page {
    let title: String
    /// HTML; every text in it has gone through ``escaped(_:)``.
    let body: String

    private static let style = """
        :root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}
        h1{font-size:1.4rem}code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
        dt{font-weight:600}dd{margin:0 0 .6rem}.ok::before{content:"● ";color:#2a8f4c}
        """

    var response: Response {
        let html = """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(Self.escaped(title))</title><style>\(Self.style)</style></head><body>\(body)</body></html>
            """
        let headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy:
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html)))
    }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
