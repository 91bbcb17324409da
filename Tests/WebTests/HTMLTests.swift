import Model
import Testing

@testable import Web

@Suite struct HTMLTests {
    @Test func whatIsInterpolatedIsEscapedAndHTMLIsNested() {
        let name = "<b>\"Ana\" & 'Ben'</b>"
        let cell: HTML = "<td title=\"\(name)\">\(name.prefix(3))</td>"
        #expect(cell.text == "<td title=\"&lt;b&gt;&quot;Ana&quot; &amp; &#39;Ben&#39;&lt;/b&gt;\">&lt;b&gt;</td>")
        let row: HTML = "<tr>\([cell, cell].joined(separator: " "))</tr>"
        #expect(row.text == "<tr>\(cell.text) \(cell.text)</tr>")
        #expect(("<p>" as HTML) + "</p>" == "<p></p>")
    }

    /// A mark that joins `<` in one character must not hide it, and a control character is shown.
    @Test func marksAndControlsDoNotHideMarkup() {
        #expect(("\("<\u{338}script")" as HTML).text == "&lt;\u{338}script")
        #expect(("\("a\u{1B}[2J\u{202E}")" as HTML).text == "a\\u{1B}[2J\\u{202E}")
    }

    @Test func markupUnderAConditionIsThereOrNot() {
        func box(_ on: Bool) -> HTML { "<input\(" checked", if: on)>" }
        #expect(box(true).text == "<input checked>" && box(false).text == "<input>")
    }
}
