import FoundationEssentials
import Model
import NIOCore
public import Outbound
public import TransportSecurity

/// Sends mails through one mail server, each on its own connection: an appliance sends only a few per day.
public struct SMTPClient: Sendable {
    public enum Security: String, Sendable, CaseIterable {
        /// Starts in plain text and switches to TLS. If that fails, nothing is sent.
        case startTLS = "starttls"
        /// TLS from the first byte.
        case tls
        /// No TLS, for a mail server on this machine.
        case none
    }

    /// The timeout of the whole conversation.
    private static let time = TimeAmount.seconds(60)

    private let host: String
    private let port: Int
    private let security: Security
    private let credentials: (user: String, password: String)?
    private let from: String
    private let tls: TLSContext
    private let connector: Connector

    public init(
        host: String, port: Int, security: Security, credentials: (user: String, password: String)?, from: String,
        tls: TLSContext, connector: Connector
    ) {
        self.connector = connector
        self.host = host
        self.port = port
        self.security = security
        self.credentials = credentials
        self.from = from
        self.tls = tls
    }

    /// - Throws: ``IdentityError`` `.mail`.
    public func send(to address: String, subject: String, text: String) async throws {
        let message = SMTPSession.Message(from: from, to: address, text: compose(address, subject, text))
        let session = SMTPSession(
            security: security == .startTLS ? .startTLS : security == .tls ? .tls : .none, credentials: credentials,
            message: message, name: "[127.0.0.1]")
        let (tls, host) = (self.tls, self.host)
        do {
            let ended = try await connector.connect(host: host, port: port, tls: security == .tls ? tls : nil) {
                channel in
                let promise = channel.eventLoop.makePromise(of: Void.self)
                let handler = SMTPHandler(session: session, tls: tls, host: host, time: Self.time, promise: promise)
                try channel.pipeline.syncOperations.addHandler(handler)
                return promise.futureResult
            }.get()
            try await ended.get()
        } catch let error as IdentityError {
            throw error
        } catch {
            throw IdentityError(.mail, "\(host):\(port) cannot be reached: \(NetworkError.sentence(error))")
        }
    }

    /// RFC 5322. The text is ASCII and a few names that people chose. Anything else is 8-bit UTF-8, which all current
    /// servers accept.
    private func compose(_ address: String, _ subject: String, _ text: String) -> String {
        let now = Date()
        let id =
            "\(UInt64.random(in: .min ... .max)).\(Int(now.timeIntervalSince1970))@\(from.split(separator: "@").last ?? "postern")"
        let head = [
            "Date: \(Self.date(now))", "From: Postern <\(from)>", "To: <\(address)>",
            "Subject: \(Self.encoded(Self.line(subject)))",
            "Message-ID: <\(id)>", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit", "Auto-Submitted: auto-generated",
        ]
        let body = text.split(separator: "\n", omittingEmptySubsequences: false).map { Self.line(String($0)) }
        return (head + [""] + body).joined(separator: "\r\n")
    }

    /// Removes control characters, so that CR or LF in a name cannot start a header.
    static func line(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }))
    }

    /// Applies RFC 2047 if the subject is not ASCII.
    static func encoded(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        let bytes = Array(text.utf8)
        let padding = String(repeating: "=", count: (3 - bytes.count % 3) % 3)
        return "=?utf-8?B?\(Base64.text(bytes))\(padding)?="
    }

    /// RFC 5322, section 3.3.
    static func date(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.weekday, .day, .month, .year, .hour, .minute, .second], from: date)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int?) -> String { (number ?? 0) < 10 ? "0\(number ?? 0)" : "\(number ?? 0)" }
        return
            "\(days[(parts.weekday ?? 1) - 1]), \(parts.day ?? 1) \(months[(parts.month ?? 1) - 1]) \(parts.year ?? 1970) "
            + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) +0000"
    }
}

/// Carries out what ``SMTPSession`` decides.
private final class SMTPHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Maximum length of a reply's line, in bytes (RFC 5321, section 4.5.3.1.5: 512).
    private static let lineBytes = 4096

    private var session: SMTPSession
    private let tls: TLSContext
    private let host: String
    private let time: TimeAmount
    private let promise: EventLoopPromise<Void>
    private var buffer = ByteBuffer()
    private var deadline: Scheduled<Void>?

    init(
        session: SMTPSession, tls: TLSContext, host: String, time: TimeAmount, promise: EventLoopPromise<Void>
    ) {
        self.session = session
        self.tls = tls
        self.host = host
        self.time = time
        self.promise = promise
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: time) {
            bound.value.0.end(IdentityError(.mail, "the mail server timed out"), bound.value.1)
        }
    }

    /// Also completes the promise if the channel never connected.
    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
        promise.fail(IdentityError(.mail, "the mail server closed the connection"))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        buffer.writeImmutableBuffer(unwrapInboundIn(data))
        while let index = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let line = buffer.readString(length: index - buffer.readerIndex + 1) ?? ""
            let end = line.unicodeScalars.reversed().drop { $0 == "\n" || $0 == "\r" }.reversed()
            if let action = session.receive(String(String.UnicodeScalarView(end))) { carryOut(action, context) }
        }
        if buffer.readableBytes > Self.lineBytes {
            end(IdentityError(.mail, "the mail server sent a line that is too long for SMTP"), context)
        }
    }

    private func carryOut(_ action: SMTPSession.Action, _ context: ChannelHandlerContext) {
        switch action {
        case .send(let text):
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
        case .startTLS:
            // Plain text that followed the answer is discarded (RFC 3207, section 4.2).
            buffer.clear()
            do {
                try context.pipeline.syncOperations.addHandler(
                    TLSHandler.client(tls, serverName: host), position: .first)
                carryOut(session.secured(), context)
            } catch { end(error, context) }
        case .done: end(nil, context)
        case .fail(let sentence): end(IdentityError(.mail, sentence), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(error, context) }

    func channelInactive(context: ChannelHandlerContext) {
        carryOut(session.closed(), context)
        context.fireChannelInactive()
    }

    private func end(_ error: (any Error)?, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        if let error { promise.fail(error) } else { promise.succeed() }
        context.close(promise: nil)
    }
}
