import Hummingbird

extension Request {
    /// A number in the query; nil where it is missing or empty.
    /// - Throws: ``APIError`` naming the parameter.
    func number(_ name: String) throws -> Int64? {
        guard let text = uri.queryParameters[Substring(name)], !text.isEmpty else { return nil }
        guard let number = Int64(text) else { throw APIError.badRequest("\(name) is not a number") }
        return number
    }

    /// `yes` or `no` in the query; nil where it is missing.
    /// - Throws: ``APIError`` naming the parameter.
    func yesOrNo(_ name: String) throws -> Bool? {
        switch uri.queryParameters[Substring(name)] {
        case nil, "": nil
        case "yes": true
        case "no": false
        default: throw APIError.badRequest("\(name) is yes or no")
        }
    }
}
