/// The objects of RFC 8555, as far as they are used.
struct ACMEDirectory: Decodable, Sendable {
    let newNonce, newAccount, newOrder: String
    let keyChange: String?
    /// RFC 9773.
    let renewalInfo: String?
    let meta: Meta?

    struct Meta: Decodable, Sendable {
        let termsOfService: String?
        let externalAccountRequired: Bool?
    }
}

struct ACMEIdentifier: Codable, Sendable, Equatable {
    let type, value: String
}

struct ACMEOrder: Decodable, Sendable {
    let status: String
    let authorizations: [String]
    let finalize: String
    let certificate: String?
    let error: ACMEProblem?
}

struct ACMEAuthorization: Decodable, Sendable {
    let status: String
    let identifier: ACMEIdentifier
    let challenges: [ACMEChallenge]
}

struct ACMEChallenge: Decodable, Sendable {
    let type, url: String
    let status: String?
    let token: String?
    let error: ACMEProblem?
}

/// RFC 9773, section 4.2.
struct ACMERenewalInfo: Decodable, Sendable {
    struct Window: Decodable, Sendable { let start, end: String }
    let suggestedWindow: Window
    let explanationURL: String?
}
