/// The schema of an API value for OpenAPI 3.1 (JSON Schema, draft 2020-12).
indirect enum Schema: Sendable {
    case string, integer, number, boolean
    /// ISO 8601 in UTC.
    case time
    /// Only null.
    case null
    /// One of these words.
    case words([String])
    case list(Schema)
    /// An object with any keys.
    case map(Schema)
    /// The same within limits.
    case bounded(Schema, SchemaBounds)
    /// One of several.
    case either([Schema])
    /// An object without a name, used in one place.
    case object([SchemaField])
    /// An object with a name, which is described once.
    case named(String, [SchemaField])
    /// Text that is not JSON.
    case text

}

/// A property of an object.
struct SchemaField: Sendable {
    let name: String
    let schema: Schema
    var isRequired = true
    var isNullable = false
    var note: String?

    static func field(_ name: String, _ schema: Schema, _ note: String? = nil) -> SchemaField {
        SchemaField(name: name, schema: schema, note: note)
    }

    /// May be absent.
    static func optional(_ name: String, _ schema: Schema, _ note: String? = nil) -> SchemaField {
        SchemaField(name: name, schema: schema, isRequired: false, note: note)
    }

    /// Always there, and may be null.
    static func nullable(_ name: String, _ schema: Schema, _ note: String? = nil) -> SchemaField {
        SchemaField(name: name, schema: schema, isNullable: true, note: note)
    }

    /// May be absent or null; both mean the same.
    static func absentOrNull(_ name: String, _ schema: Schema, _ note: String? = nil) -> SchemaField {
        SchemaField(name: name, schema: schema, isRequired: false, isNullable: true, note: note)
    }
}

/// An API type that has a schema.
protocol Described {
    static var schema: Schema { get }
}

extension Array: Described where Element: Described {
    static var schema: Schema { .list(Element.schema) }
}

/// The API description of a route.
struct RouteText: Sendable {
    /// A parameter of the query.
    struct Query: Sendable {
        let name: String
        let schema: Schema
        let note: String

        init(_ name: String, _ schema: Schema, _ note: String) {
            self.name = name
            self.schema = schema
            self.note = note
        }
    }

    /// A successful response.
    struct Answer: Sendable {
        let status: Int
        let note: String
        let schema: Schema?
        var contentType = "application/json"

        static func ok(_ type: any Described.Type, _ note: String) -> Answer {
            Answer(status: 200, note: note, schema: type.schema)
        }

        static func created(_ type: any Described.Type, _ note: String) -> Answer {
            Answer(status: 201, note: note, schema: type.schema)
        }

        static func accepted(_ type: (any Described.Type)? = nil, _ note: String) -> Answer {
            Answer(status: 202, note: note, schema: type?.schema)
        }

        /// Without a body.
        static func done(_ note: String = "Done.") -> Answer { Answer(status: 204, note: note, schema: nil) }

        static func text(_ contentType: String, _ note: String) -> Answer {
            Answer(status: 200, note: note, schema: .text, contentType: contentType)
        }

        static func json(_ status: Int, _ schema: Schema?, _ note: String) -> Answer {
            Answer(status: status, note: note, schema: schema)
        }
    }

    let summary: String
    let query: [Query]
    let body: Schema?
    let answers: [Answer]
    /// A bearer token is accepted, but not always required.
    var isBearerOptional = false

    init(
        _ summary: String, query: [Query] = [], takes body: (any Described.Type)? = nil, _ answers: Answer...,
        isBearerOptional: Bool = false
    ) {
        self.summary = summary
        self.query = query
        self.body = body?.schema
        self.answers = answers
        self.isBearerOptional = isBearerOptional
    }
}
