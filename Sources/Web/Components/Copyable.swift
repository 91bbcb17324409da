import Model

/// Text for copying: a command, a token, a link. The page's script shows the button.
enum Copyable {
    static func html(_ text: String) -> HTML {
        """
        <div class="copyable"><code>\(text)</code><button type="button" class="copy" hidden>Copy</button></div>
        """
    }
}
