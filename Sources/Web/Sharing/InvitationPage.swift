import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Wire

/// `/j/…`: the shared terminal, for a person who opens an invitation in a browser.
struct InvitationPage: Sendable {
    /// The modules that the page's script imports, so that a browser loads all of them at once.
    private static let modules = [
        "bytes.js", "connection.js", "cryptography.js", "engine.js", "frames.js", "handshake.js", "input.js", "keys.js",
        "screen.js", "view.js",
    ]
    /// The row of keys that a phone's keyboard does not have: the button's text, its name, and the key.
    private static let keys = [
        ("Esc", "Escape", "Escape"), ("Tab", "Tab", "Tab"), ("Ctrl", "Control, for the next key", "Control"),
        ("←", "Left", "ArrowLeft"), ("↓", "Down", "ArrowDown"), ("↑", "Up", "ArrowUp"), ("→", "Right", "ArrowRight"),
        ("|", "Bar", "|"), ("/", "Slash", "/"), ("-", "Minus", "-"), ("~", "Tilde", "~"), ("PgUp", "Page up", "PageUp"),
        ("PgDn", "Page down", "PageDown"),
    ]

    func add(to routes: Routes) {
        routes.openPage(.get, "/j/:code", limit: .none) { _, context in
            // The secret is in the fragment, which browsers do not send: this page cannot show the complete link.
            guard let code = ShareCodeId(try context.parameters.require("code")) else {
                throw APIError(
                    .notFound, "code_not_found", "This is not a share code; ask the host for the link again.")
            }
            return Self.response(code)
        }
    }

    private static func response(_ code: ShareCodeId) -> Response {
        let files = BrowserFiles.all
        guard files.hasTerminal else { return commandLine(code).response }
        let html: HTML = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\
            <meta name="viewport" content="width=device-width,initial-scale=1,interactive-widget=resizes-content">
            <title>Shared terminal · Postern</title><link rel="stylesheet" href="\(files.path("terminal.css"))">
            <link rel="icon" href="\(files.path("icon.svg"))">
            \(HTML.list(modules.map { "<link rel=\"modulepreload\" href=\"\(files.path($0))\">" }))
            <link rel="preload" as="fetch" type="application/wasm" crossorigin href="\(files.path("terminal.wasm"))">
            <script type="module" src="\(files.path("guest.js"))"></script></head>\
            <body data-code="\(code.description)" data-state="waiting">
            \(header)<main>\(cards(code))\(terminal)</main>\(softKeys)\(menu)</body></html>
            """
        let headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy: "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
                + "connect-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
            .referrerPolicy: "no-referrer",
            .robotsTag: "noindex",
        ]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html.text)))
    }

    private static let header: HTML = """
        <header><span class="brand">Postern</span><h1><span id="host">Shared terminal</span> <span id="session"></span></h1>\
        <span id="badge"></span>\
        <button id="menu-button" type="button" aria-keyshortcuts="Control+]" title="Menu (Ctrl+])">Menu</button></header>
        """

    private static func cards(_ code: ShareCodeId) -> HTML {
        """
        <p id="message" role="status">Loading the terminal …</p>\
        <button id="again" class="main" type="button" hidden>Join again</button>
        <section id="words-card" class="card"><h2>Join a shared terminal</h2>
        <form id="words-form"><label for="words">The two words from the host for <code>\(code.description)</code></label>\
        <input id="words" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="words-problem">\
        <p id="words-problem" role="alert"></p><button class="main">Join</button></form>
        <p class="small">A link that contains a # does not need the words: ask the host for it.</p></section>
        <section id="unable-card" class="card"><h2>This browser cannot join</h2>
        <p>It lacks <span id="missing"></span>, which the encryption requires. Current versions of Chrome, Firefox, Edge and Safari have it. \
        On the command line, run:</p><p><code>postern join '…this page's address, including everything after the #…'</code></p></section>
        <noscript><section class="card"><h2>This page needs JavaScript</h2>
        <p>JavaScript decrypts the terminal in your browser, so that the server cannot read it. Without it, use the command line:</p>
        <p><code>postern join '…this page's address, including everything after the #…'</code></p></section></noscript>
        """
    }

    private static let terminal: HTML = """
        <div id="terminal" role="group" aria-label="Terminal"><div id="frame"><div id="history"></div><div id="screen"></div>\
        <div id="cursor"></div></div><span id="probe" aria-hidden="true">\(String(repeating: "0", count: 100))</span>\
        <textarea id="keyboard" aria-label="Type into the shared terminal; Control and right bracket opens the menu" autocapitalize="none" \
        autocomplete="off" autocorrect="off" spellcheck="false"></textarea></div>\
        <div id="live" class="unseen" aria-live="polite"></div>
        """

    private static let softKeys: HTML = """
        <div id="keys" role="toolbar" aria-label="Keys">\(HTML.list(keys.map { shown, name, key in
            "<button type=\"button\" data-key=\"\(key)\" aria-label=\"\(name)\">\(shown)</button>"
        }))</div>
        """

    private static let menu: HTML = """
        <dialog id="menu" aria-labelledby="menu-title"><h2 id="menu-title">Shared terminal</h2>
        <form method="dialog"><label for="name">Your name, shown to the host</label>\
        <input id="name" maxlength="60" autocomplete="nickname">
        <p class="small">Ctrl+] opens this menu. Hold Shift to select text with the mouse; Ctrl+C copies the selection. \
        Everything is encrypted between the host and this page; you trust the server that sent the page.</p>
        <div class="row"><button id="smaller" type="button" aria-label="Smaller text">A−</button>\
        <button id="larger" type="button" aria-label="Larger text">A+</button>\
        <button id="give-back" type="button">Give control back</button></div>
        <div class="row"><button class="main">Back to the terminal</button>\
        <button id="leave" class="danger">Leave</button></div></form></dialog>
        """

    /// The page if this build has no terminal for browsers.
    private static func commandLine(_ code: ShareCodeId) -> Page {
        Page(
            title: "You are invited to a terminal",
            body: Page.alone(
                """
                <h1>You are invited to a shared terminal</h1>
                <p>Copy this page's whole address, including everything after the <code>#</code>, and run:</p>
                \(Copyable.html("postern join '…the address…'"))
                <p>Code <code>\(code.description)</code>. The secret after the # has not been sent to this server.
                <a href="/docs/install">How to install postern</a></p>
                """))
    }
}
