import Crypto
import FoundationEssentials
import HTTP1
import Model

/// How a sender signs its webhooks, and the secret it shares with this machine. The secret never leaves the machine.
public struct WebhookSignature: Sendable {
    public enum Sender: Sendable, Equatable {
        /// `Stripe-Signature: t=SECONDS,v1=HEX` over `SECONDS.BODY`.
        case stripe
        /// `X-Hub-Signature-256: sha256=HEX` over the body.
        case github
        /// `X-Slack-Signature: v0=HEX` over `v0:SECONDS:BODY`, with the time in `X-Slack-Request-Timestamp`.
        case slack
        /// HMAC-SHA-256 of the body in this header, as hexadecimal (also after `sha256=`) or base64.
        case hmac(header: String)
    }

    /// How much older or newer than now a signed time may be, in seconds: a recorded request cannot be sent again later.
    static let tolerance = 300
    /// The minimum length of a secret, in bytes.
    static let secretBytes = 8

    let sender: Sender
    private let key: SymmetricKey

    /// - Throws: ``ClientError`` for a secret that is too short.
    public init(_ sender: Sender, secret: String) throws(ClientError) {
        let bytes = Array(secret.utf8)
        guard bytes.count >= Self.secretBytes else {
            throw ClientError("a webhook's secret must have at least \(Self.secretBytes) bytes", status: .usage)
        }
        self.sender = sender
        key = SymmetricKey(data: bytes)
    }

    /// `stripe:FILE`, `github:FILE`, `slack:FILE` or `hmac:HEADER:FILE`.
    /// - Returns: nil if the text has another form.
    public static func parse(_ text: String) -> (sender: Sender, file: String)? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[1].isEmpty else { return nil }
        switch parts[0] {
        case "stripe": return (.stripe, parts[1])
        case "github": return (.github, parts[1])
        case "slack": return (.slack, parts[1])
        case "hmac":
            let rest = parts[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard rest.count == 2, !rest[0].isEmpty, !rest[1].isEmpty else { return nil }
            return (.hmac(header: rest[0].lowercased()), rest[1])
        default: return nil
        }
    }

    /// Whether a request is signed with the secret.
    /// - Parameters:
    ///   - body: decoded.
    ///   - now: epoch seconds.
    func accepts(_ head: RequestHead, body: [UInt8], now: Int) -> Bool {
        switch sender {
        case .stripe:
            guard let header = Self.value("stripe-signature", in: head) else { return false }
            var time: String?
            var signatures: [String] = []
            for part in header.split(separator: ",") {
                let pair = part.split(separator: "=", maxSplits: 1).map { String($0.trimmingSpaces()) }
                guard pair.count == 2 else { continue }
                if pair[0] == "t" { time = pair[1] }
                // While a secret is replaced, there are several.
                if pair[0] == "v1" { signatures.append(pair[1]) }
            }
            guard let time, Self.isRecent(time, now) else { return false }
            return signatures.prefix(8).contains { isMAC($0, of: Array("\(time).".utf8) + body) }
        case .github:
            guard let header = Self.value("x-hub-signature-256", in: head), header.hasPrefix("sha256=") else {
                return false
            }
            return isMAC(String(header.dropFirst(7)), of: body)
        case .slack:
            guard let header = Self.value("x-slack-signature", in: head), header.hasPrefix("v0="),
                let time = Self.value("x-slack-request-timestamp", in: head), Self.isRecent(time, now)
            else { return false }
            return isMAC(String(header.dropFirst(3)), of: Array("v0:\(time):".utf8) + body)
        case .hmac(let name):
            guard let header = Self.value(name, in: head) else { return false }
            let text = header.hasPrefix("sha256=") ? String(header.dropFirst(7)) : header
            if isMAC(text, of: body) { return true }
            guard let decoded = Data(base64Encoded: text) else { return false }
            return HMAC<SHA256>.isValidAuthenticationCode(decoded, authenticating: body, using: key)
        }
    }

    /// The only field of this name. Two of them could be read in two ways.
    private static func value(_ name: String, in head: RequestHead) -> String? {
        let found = head.fields.filter { head.block.isNamed($0, name) }
        return found.count == 1 ? head.block.value(found[0]) : nil
    }

    private static func isRecent(_ text: String, _ now: Int) -> Bool {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.utf8.count <= 12, let time = Int(text) else {
            return false
        }
        return abs(now - time) <= tolerance
    }

    /// Compares in constant time.
    private func isMAC(_ hexadecimal: String, of bytes: [UInt8]) -> Bool {
        guard let code = Self.bytes(hexadecimal) else { return false }
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes, using: key)
    }

    private static func bytes(_ hexadecimal: String) -> [UInt8]? {
        let digits = Array(hexadecimal.utf8)
        guard digits.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}
