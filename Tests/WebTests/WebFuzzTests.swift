import TestSupport
import Testing

@testable import Web

@Suite struct WebFuzzTests {
    @Test func formsOfAnyBytesAreReadAndWhatIsWrittenIsReadBack() throws {
        mutated(["name=ana&password=a+few%20random%C3%A4&scope=a&scope=b&form=0", "=&&=%&a=%zz&%", "a=b=c"]) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let form = Form(text)
            _ = form["name"]
            _ = form.all("scope")
            #expect(FormText.decoded(Substring(FormText.encoded(text))) == text)
            #expect(Form("x=\(FormText.encoded(text))&y=1").raw("x") == text)
        }
    }

    @Test func cookiesOfAnyBytesAreLookedThrough() throws {
        mutated(["a=b; __Host-postern=secret; c=d", "__Host-postern=", ";;=; __Host-postern=a=b"]) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            // By bytes: a value may begin with a mark that belongs to the character before it.
            if let found = Cookies.value(Cookies.signIn, in: text) {
                #expect(found.isEmpty || !Array(text.utf8).ranges(of: Array(found.utf8)).isEmpty)
            }
        }
    }
}
