import HTTP1
import NIOCore

/// Lets only signed requests through to a service. A request is held until its signature is verified: the one case in
/// which a request is not passed on as it arrives. A pure state machine.
struct WebhookVerifier {
    enum Action: Equatable {
        /// A whole request for the service.
        case forward(ByteBuffer)
        /// Answer the visitor, and end the connection.
        case refuse(status: Int, code: String, message: String)
    }

    /// The maximum size of a request's content, in bytes: senders of webhooks send less.
    static let bodyBytes = 1 << 20
    /// The maximum size of a head, in bytes, as at the server.
    private static let headBytes = 16 << 10

    private let signature: WebhookSignature
    private var heads = HeadReader(limit: Self.headBytes)
    private var head: RequestHead?
    private var reader: BodyReader?
    private var body: [UInt8] = []
    /// All bytes of the request, as received.
    private var held = ByteBuffer()
    private var input = ByteBuffer()
    private var isOver = false

    init(_ signature: WebhookSignature) { self.signature = signature }

    /// - Parameter now: epoch seconds.
    mutating func receive(_ bytes: ByteBuffer, now: Int) -> [Action] {
        guard !isOver else { return [] }
        held.writeImmutableBuffer(bytes)
        input.writeImmutableBuffer(bytes)
        var actions: [Action] = []
        do throws(HTTPMessageError) {
            while let action = try next(now) {
                actions.append(action)
                if isOver { break }
            }
        } catch {
            isOver = true
            actions.append(.refuse(status: 400, code: "BAD-REQUEST", message: "\(error.message)."))
        }
        return actions
    }

    private mutating func next(_ now: Int) throws(HTTPMessageError) -> Action? {
        if head == nil {
            guard let found = try heads.next(&input) else { return nil }
            let head = try RequestHead(found)
            if case .length(let length) = head.body, length > Self.bodyBytes { return tooLarge() }
            // After an upgrade there are no requests to verify.
            guard head.upgrade == nil else {
                return refuse(403, "SIGNATURE", "Webhooks are requests, not connections.")
            }
            self.head = head
            reader = BodyReader(head.body)
        }
        guard let head, var reader else { return nil }
        defer { self.reader = self.head == nil ? nil : reader }
        var isEnded = head.body == .none
        while !isEnded, let part = try reader.next(&input) {
            switch part {
            case .content(let bytes):
                guard body.count + bytes.readableBytes <= Self.bodyBytes else { return tooLarge() }
                body += bytes.readableBytesView
            case .end: isEnded = true
            }
            if case .length = head.body, reader.isComplete { isEnded = true }
        }
        if case .length = head.body, reader.isComplete { isEnded = true }
        guard isEnded else { return nil }
        guard signature.accepts(head, body: body, now: now) else {
            return refuse(401, "SIGNATURE", "The signature of this webhook is missing or wrong.")
        }
        let whole = held.readSlice(length: held.readableBytes - input.readableBytes) ?? ByteBuffer()
        held.discardReadBytes()
        input.discardReadBytes()
        self.head = nil
        body = []
        return .forward(whole)
    }

    private mutating func tooLarge() -> Action {
        refuse(413, "WEBHOOK-TOO-LARGE", "A webhook is verified as a whole, and may have at most 1 MiB.")
    }

    private mutating func refuse(_ status: Int, _ code: String, _ message: String) -> Action {
        isOver = true
        (held, input, body) = (ByteBuffer(), ByteBuffer(), [])
        return .refuse(status: status, code: code, message: message)
    }
}
