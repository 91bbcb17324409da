import Database
import HTTPTypes
import Hummingbird
import Identity
import NIOCore
import Operations
import Sockets
import Storage
import Wire

/// The API's only error type: a status, a stable code and a sentence that names the remedy.
struct APIError: Error {
    let status: HTTPResponse.Status
    var body: ErrorResource
    var headers = HTTPFields()

    init(_ status: HTTPResponse.Status, _ code: String, _ message: String) {
        self.status = status
        body = ErrorResource(statusCode: status.code, message: message, code: code)
        // RFC 8288: what the code means, and what to do.
        headers[.link] = "</docs/error-codes#\(code)>; rel=\"help\""
    }

    static let notFound = APIError(.notFound, "not_found", "Not found; see docs/api.md for the available routes.")

    /// - Parameter bytes: the limit of the route.
    static func tooLarge(_ bytes: Int) -> APIError {
        APIError(.contentTooLarge, "too_large", "The request body is larger than \(bytes) bytes.")
    }

    /// - Parameter allow: the methods that the path supports, as listed in RFC 9110, section 10.2.1.
    static func methodNotAllowed(_ allow: String) -> APIError {
        var error = APIError(.methodNotAllowed, "method_not_allowed", "This path accepts \(allow).")
        error.headers[.allow] = allow
        return error
    }

    static func badRequest(_ message: String) -> APIError { APIError(Refusal.badRequest(message)) }

    /// Converts any error of a handler to the API's response. An internal error only says that it is internal.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let refusal as Refusal: self.init(refusal)
        case let error as MessageError: self = .badRequest(error.description)
        case let error as StorageError where error.code == .busy:
            self.init(.serviceUnavailable, error.code.rawValue, error.remedy)
        case let error as StorageError where error.code == .full:
            self.init(
                .init(code: 507, reasonPhrase: "Insufficient Storage"), error.code.rawValue,
                error.remedy)
        case is BrokenRequest, is IOError, is ChannelError: self = .badRequest("The request ended too early.")
        case is NIOTooManyBytesError:
            self = .tooLarge(WebConfiguration.bodyBytes)
        case let error as IdentityError where error.code == .unavailable:
            self.init(.serviceUnavailable, error.code.rawValue, error.message)
        case let error as HTTPError: self.init(error)
        default:
            self.init(.internalServerError, "internal", "An internal error occurred; the server's log has the details.")
        }
    }

    private init(_ refusal: Refusal) {
        self.init(HTTPResponse.Status(refusal.code.kind), refusal.code.rawValue, refusal.message)
        headers[.retryAfter] = refusal.retryAfter.map { String($0) }
        body.limit = refusal.limit
        body.current = refusal.current
        body.plan = refusal.plan?.rawValue
    }

    /// Hummingbird's own errors: no such route, a body beyond the limit, and similar.
    private init(_ error: HTTPError) {
        switch error.status {
        case .notFound: self = .notFound
        default:
            self.init(error.status, "http_\(error.status.code)", error.body ?? error.status.reasonPhrase)
        }
    }
}

extension HTTPResponse.Status {
    init(_ kind: Refusal.Code.Kind) {
        switch kind {
        case .invalid: self = .badRequest
        case .unauthenticated: self = .unauthorized
        case .forbidden: self = .forbidden
        case .notFound: self = .notFound
        case .conflict: self = .conflict
        case .gone: self = .gone
        case .tooMany: self = .tooManyRequests
        }
    }
}

extension HTTPField.Name {
    // A valid field name: only an invalid one returns nil.
    static let link = Self("Link")!
}
