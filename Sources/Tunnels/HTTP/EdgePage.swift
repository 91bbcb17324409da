import Model
import NIOCore

/// Pages that the edge shows on a tunnel's host. They load no resources, because the host belongs to its service.
enum EdgePage {
    static let abusePath = "/.well-known/postern-abuse"
    /// The target of the warning's button.
    static let continuePath = "/.well-known/postern-continue"

    private static let style = """
        body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 0;padding:0 1.25rem;color:#1c1f24;background:#fff}
        h1{font-size:1.5rem;line-height:1.25;margin:.25rem 0 1rem}.code{font:13px ui-monospace,monospace;color:#5b6470;margin:0}
        footer{margin-top:3rem;font-size:.875rem}a{color:#0b57d0}button{font:inherit;padding:.5rem 1rem;border:1px solid #8a929c;
        border-radius:.375rem;background:#f2f4f7;color:inherit;cursor:pointer}
        @media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#16181c}.code{color:#9aa3ad}a{color:#8ab4f8}
        button{background:#24282e;border-color:#5b6470}}
        """

    static func html(title: String, _ body: HTML) -> ByteBuffer {
        let page: HTML = """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <meta name="robots" content="noindex"><title>\(title)</title><style>\(HTML(trusted: style))</style></head>
            <body>\(body)</body></html>

            """
        return ByteBuffer(string: page.text)
    }

    /// Names who is responsible for the content behind an address of this server.
    static func abuse(_ configuration: TunnelConfiguration, host: String) -> ByteBuffer {
        let contact = configuration.abuseContact.map { contact -> HTML in
            "<p>Write to <strong>\(contact)</strong> and include the address and what you saw.</p>"
        }
        let server = configuration.publicURL.map { url -> HTML in "<p>The server: <a href=\"\(url)\">\(url)</a></p>" }
        return html(
            title: "Report \(host)",
            """
            <h1>Report \(host)</h1>
            <p>What you see at this address comes from the computer of one of this server's users, not from the server itself.</p>
            \(contact ?? "<p>The owner of this server has not set a contact for reports.</p>")
            \(server ?? "")
            """)
    }

    /// The page that a browser shows once before the pages of an owner whom nobody has vouched for.
    static func warning(host: String, target: String) -> ByteBuffer {
        html(
            title: "Before you continue",
            """
            <h1>You are about to visit \(host)</h1>
            <p>This page comes from the computer of a user whom nobody has vouched for. Do not enter a password, card number or other secret
            unless you know who gave you this address.</p>
            <form method="post" action="\(continuePath)?to=\(PercentEncoding.encoded(target))">
            <button>Continue to \(host)</button></form>
            <footer><a href="\(abusePath)">Report this address</a></footer>
            """)
    }
}
