import Hummingbird

extension Request {
    /// A number in the query. Nil if it is missing.
    /// - Throws: ``APIError`` naming the parameter.
    func number(_ name: String, in range: ClosedRange<Int64>) throws -> Int64? {
        guard let text = try once(name) else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw APIError.badRequest("\(name): write a number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    /// `yes` in the query. False if it is missing or `no`.
    /// - Throws: ``APIError`` naming the parameter.
    func yesOrNo(_ name: String) throws -> Bool {
        switch try once(name) {
        case nil, "no": false
        case "yes": true
        default: throw APIError.badRequest("\(name) must be yes or no")
        }
    }

    /// A parameter that may appear once.
    /// - Throws: ``APIError`` naming the parameter.
    private func once(_ name: String) throws -> Substring? {
        let all = uri.queryParameters[values: Substring(name)]
        guard all.count <= 1 else { throw APIError.badRequest("\(name) is given more than once") }
        return all.first
    }
}
