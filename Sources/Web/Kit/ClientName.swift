import HTTPTypes
import Hummingbird
import Model

/// The client's name in the list of sign-ins: its own name for itself, truncated.
enum ClientName {
    private static let length = 80

    static func of(_ request: Request, claimed: String? = nil) -> String {
        let text = claimed ?? request.headers[.userAgent] ?? "unknown client"
        return String(VisibleText.removed(String(text.unicodeScalars.prefix(length))))
    }
}

/// "Firefox on Linux": the browser's name in the list of sign-ins.
enum BrowserName {
    static func of(_ request: Request) -> String {
        let agent = request.headers[.userAgent] ?? ""
        // The order matters: most browsers also claim to be the others.
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
