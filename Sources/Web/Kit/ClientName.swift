import HTTPTypes
import Hummingbird
import Model

/// What the list of sign-ins calls a client: what it says it is, cut short.
enum ClientName {
    private static let length = 80

    static func of(_ request: Request, claimed: String? = nil) -> String {
        let text = claimed ?? request.headers[.userAgent] ?? "unknown client"
        return String(VisibleText.removed(String(text.unicodeScalars.prefix(length))))
    }
}

/// "Firefox on Linux": what the list of sign-ins calls a browser.
enum BrowserName {
    static func of(_ request: Request) -> String {
        let agent = request.headers[.userAgent] ?? ""
        // In this order: most browsers claim to be the others, too.
        let browsers = [
            ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
        ]
        let systems = [
            ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
            ("Linux", "Linux"),
        ]
        let browser = browsers.first { agent.contains($0.0) }?.1
        let system = systems.first { agent.contains($0.0) }?.1
        return [browser ?? ClientName.of(request), system].compactMap { $0 }.joined(separator: " on ")
    }
}
