import Model
import NIOCore
import Storage
import Testing

@testable import Web

/// The parts that pages are made of, as values.
@Suite struct ComponentTests {
    @Test func aTablesCellsAreNamedForNarrowScreens() {
        let table = Table("T", ["A & B", .number("C"), .actions], [["1", "\("<2>")", "x"]]).html.text
        #expect(table.contains("<td data-label=\"C\" class=\"number\">&lt;2&gt;</td>") && table.contains("A &amp; B"))
        #expect(table.contains("<th scope=\"row\">1</th>") && table.contains("<caption class=\"unseen\">T</caption>"))
        #expect(Table("T", ["A"], [], empty: "<p>Nothing yet.</p>").html.text == "<p>Nothing yet.</p>")
    }

    @Test func aFormComesBackFilledWithTheMistakeBesideItsField() {
        let returned = ReturnedForm(
            action: "/a", values: ["name": ["<x>"], "password": ["secret"], "rule": ["yes"], "plan": ["pro"]],
            message: "Too short.", field: "name")
        let form = FormView("/a", nil, returned)
        let name = form.text("name", "Name", value: "old", hint: "A hint.").text
        #expect(name.contains("value=\"&lt;x&gt;\"") && name.contains("aria-invalid=\"true\""))
        #expect(name.contains("aria-describedby=\"name-mistake name-hint\"") && name.contains(">Too short.</p>"))
        // Passwords are typed again.
        #expect(!form.text("password", "Password", type: "password").text.contains("secret"))
        #expect(form.check("rule", "Rule", isOn: false).text.contains(" checked"))
        #expect(
            form.select("plan", "Plan", [("free", "free"), ("pro", "pro")]).text.contains("value=\"pro\" selected"))
        // A box that was not ticked stays so.
        #expect(!form.check("other", "Other", isOn: true).text.contains(" checked"))
        // Another form of the page is as it was.
        #expect(FormView("/b", nil, returned).text("name", "Name", value: "old").text.contains("value=\"old\""))
    }

    @Test func aMessageAboutAFieldIsFound() {
        let form = Form("password=short&name=ana")
        let about = ReturnedForm(form, to: "/a", .badRequest("password: use 10 to 256 characters"))
        #expect(about.field == "password" && about.message == "Use 10 to 256 characters")
        let other = ReturnedForm(form, to: "/a", .badRequest("Nobody is called that: try again."))
        #expect(other.field == nil && other.message == "Nobody is called that: try again.")
    }

    @Test func aFormsTokenIsAnotherTextOnEachPageAndGoodOnAll() {
        let (one, two, strange) = (FormToken(secret: "a"), FormToken(secret: "a"), FormToken(secret: "b"))
        #expect(one.text != two.text && one.matches(two.text) && two.matches(one.text))
        #expect(!one.matches(strange.text) && !one.matches(nil) && !one.matches("") && !one.matches(one.text + "00"))
        #expect(!one.matches(String(one.text.dropLast()) + "g"))
    }

    @Test func aMeterSaysHowMuchAndWarns() {
        #expect(Meter.html(2, of: 5).text.contains("2 of 5") && Meter.html(2, of: 5).text.contains("width=\"40\""))
        #expect(
            Meter.html(85, of: 100).text.contains("meter warning") && Meter.html(99, of: 100).text.contains("meter bad")
        )
        #expect(Meter.html(7, of: nil).text == "7" && Meter.html(9, of: 5).text.contains("width=\"100\""))
    }

    @Test func aChartsBarsHaveWords() {
        let chart = Chart(
            title: "Requests",
            bars: [.init(label: "10:00", value: 0, text: "0"), .init(label: "11:00", value: 3, text: "3")]
        ).html.text
        #expect(chart.contains("<title>11:00: 3</title>") && chart.contains("aria-label=\"Requests\""))
        #expect(chart.contains("height=\"60\"") && chart.contains("height=\"0\""))
    }

    @Test func aQRCodeIsSquareAndTooLongTextGivesNone() {
        let code = QRCode.html("otpauth://totp/x", label: "Key").text
        #expect(code.contains("viewBox=\"0 0 33 33\"") && code.contains("role=\"img\""))
        #expect(QRCode.html(String(repeating: "x", count: 2_000), label: "x").text.isEmpty)
    }

    @Test func theOwnersWordsAreParagraphsAndAddresses() {
        let html = AboutPages.paragraphs("Hello <b>.\r\nSecond line\r\n\r\nhttps://example.org/\r\nhttps://a b").text
        #expect(
            html == """
                <p>Hello &lt;b&gt;.<br>Second line</p><p><a href="https://example.org/" rel="noopener noreferrer">\
                https://example.org/</a><br>https://a b</p>
                """)
        #expect(AboutPages.paragraphs("javascript:alert(1)").text == "<p>javascript:alert(1)</p>")
    }

    @Test func answersArePackedAndKnownByATag() {
        let text = String(repeating: "<p>hello</p>", count: 200)
        let packed = Gzip.packed(ByteBuffer(string: text))
        #expect(packed.map { $0.readableBytes < 200 && $0.getInteger(at: 0, as: UInt16.self) == 0x1F8B } == true)
        #expect(packed.flatMap(Gzip.unpacked) == ByteBuffer(string: text))
        let short = packed?.getSlice(at: 0, length: 40) ?? ByteBuffer()
        for damaged in [ByteBuffer(), ByteBuffer(repeating: 0, count: 30), short] {
            #expect(Gzip.unpacked(damaged) == nil)
        }
        #expect(ContentCoding.matches("\"x\", W/\"abc\"", "W/\"abc\"") && ContentCoding.matches("\"abc\"", "W/\"abc\""))
        #expect(ContentCoding.matches("*", "W/\"a\"") && !ContentCoding.matches("W/\"b\"", "W/\"a\""))
        #expect(!ContentCoding.matches(nil, "W/\"a\""))
    }

    @Test func theSearchFindsSectionsThatHaveAllWords() throws {
        let files = DocumentFiles.all
        try #require(!files.sections.isEmpty, "scripts/documents was not run")
        let found = files.search("second factor")
        #expect(found.first.map { $0.heading.lowercased().contains("second factor") } == true)
        #expect(files.search("qqqq second").isEmpty && files.search("  ").isEmpty && files.search("the").count <= 20)
        #expect(files.page("share") != nil && files.page("nowhere") == nil && files.picture("README.html") == nil)
    }
}
