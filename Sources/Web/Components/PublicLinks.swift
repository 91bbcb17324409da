import Model

/// Below each public page: where else a visitor may want to go.
enum PublicLinks {
    static let html: HTML = """
        <footer class="footer"><a href="/status">Status</a><a href="/about">About this server</a>\
        <a href="/docs">Documentation</a><a href="/sign-in">Sign in</a></footer>
        """
}
