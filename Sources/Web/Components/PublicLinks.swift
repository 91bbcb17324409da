import Model

/// The links below each public page.
enum PublicLinks {
    static let html: HTML = """
        <footer class="footer"><a href="/status">Status</a><a href="/about">About this server</a>\
        <a href="/docs">Documentation</a><a href="/sign-in">Sign in</a></footer>
        """
}
