import Wire

/// The API's description, generated from its routes and their types. It does not contain pages.
struct OpenAPIDocument {
    let version: String
    let routes: [RouteDescription]

    /// JSON in canonical order, so that two builds describe the same routes with the same bytes.
    var text: String {
        var names: [String: JSONValue] = [:]
        collect(errorSchema, into: &names)
        var paths: [String: JSONValue] = [:]
        for route in routes {
            guard let about = route.about else { continue }
            let path = Self.path(route.path)
            if let body = about.body { collect(body, into: &names) }
            for answer in about.answers { if let schema = answer.schema { collect(schema, into: &names) } }
            var item = paths[path]?.fields ?? [:]
            item[route.method.lowercased()] = operation(route, about)
            paths[path] = .object(item)
        }
        return JSONValue.object([
            "openapi": "3.1.0",
            "info": [
                "title": "Postern", "version": .string(version),
                "summary": "Self-hosted terminal sharing; the server cannot read the sessions.",
                "description":
                    "The REST API next to the WebSocket relay at /relay (docs/protocol.md). All errors have the same shape: statusCode, message (a sentence that includes the remedy) and code (a stable word).",
                "license": ["name": "MIT", "identifier": "MIT"],
            ],
            "servers": [["url": "/"]],
            "security": [["bearer": []]],
            "paths": .object(paths),
            "components": [
                "securitySchemes": [
                    "bearer": [
                        "type": "http", "scheme": "bearer",
                        "description": "An access token, or an API token (pst_…).",
                    ]
                ],
                "responses": [
                    "Error": [
                        "description": "Refused or failed.",
                        "content": ["application/json": ["schema": reference(errorSchema)]],
                    ]
                ],
                "schemas": .object(names),
            ],
        ]).text
    }

    private let errorSchema = ErrorResource.schema

    /// OpenAPI uses {id} for the router's :id.
    private static func path(_ path: String) -> String {
        "/"
            + path.split(separator: "/").map { $0.hasPrefix(":") ? "{\($0.dropFirst())}" : String($0) }.joined(
                separator: "/")
    }

    /// `getAuthMe`, `deleteSessionsId`
    private static func operationId(_ route: RouteDescription) -> String {
        let words = route.path.split { !$0.isLetter && !$0.isNumber }
        return route.method.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private func operation(_ route: RouteDescription, _ about: RouteText) -> JSONValue {
        var operation: [String: JSONValue] = [
            "operationId": .string(Self.operationId(route)), "summary": .string(about.summary),
        ]
        if about.isBearerOptional {
            operation["security"] = [[:], ["bearer": []]]
        } else if route.access == .anyone {
            operation["security"] = []
        }
        let inPath = route.path.split(separator: "/").filter { $0.hasPrefix(":") }.map { part -> JSONValue in
            ["name": .string(String(part.dropFirst())), "in": "path", "required": true, "schema": ["type": "string"]]
        }
        let inQuery = about.query.map { one -> JSONValue in
            [
                "name": .string(one.name), "in": "query", "schema": reference(one.schema),
                "description": .string(one.note),
            ]
        }
        if !inPath.isEmpty || !inQuery.isEmpty { operation["parameters"] = .array(inPath + inQuery) }
        if let body = about.body {
            operation["requestBody"] = [
                "required": true, "content": ["application/json": ["schema": reference(body)]],
            ]
        }
        var answers: [String: JSONValue] = ["default": ["$ref": "#/components/responses/Error"]]
        for answer in about.answers {
            var described: [String: JSONValue] = ["description": .string(answer.note)]
            if let schema = answer.schema {
                described["content"] = .object([answer.contentType: ["schema": reference(schema)]])
            }
            answers["\(answer.status)"] = .object(described)
        }
        operation["responses"] = .object(answers)
        return .object(operation)
    }

    // MARK: Schemas

    /// A reference to a schema. Named schemas are referenced by name.
    private func reference(_ schema: Schema) -> JSONValue {
        switch schema {
        case .string, .text: ["type": "string"]
        case .integer: ["type": "integer"]
        case .number: ["type": "number"]
        case .boolean: ["type": "boolean"]
        case .null: ["type": "null"]
        case .time: ["type": "string", "format": "date-time"]
        case .words(let words): ["enum": .array(words.map { .string($0) })]
        case .bounded(let inner, let bounds): bounded(inner, bounds)
        case .either(let schemas): ["anyOf": .array(schemas.map(reference))]
        case .list(let element): ["type": "array", "items": reference(element)]
        case .map(let value): ["type": "object", "additionalProperties": reference(value)]
        case .object(let fields): object(fields)
        case .named(let name, _): ["$ref": .string("#/components/schemas/\(name)")]
        }
    }

    private func bounded(_ schema: Schema, _ bounds: SchemaBounds) -> JSONValue {
        var fields = reference(schema).fields ?? [:]
        if let length = bounds.length {
            fields["minLength"] = .integer(length.lowerBound)
            fields["maxLength"] = .integer(length.upperBound)
        }
        if let pattern = bounds.pattern { fields["pattern"] = .string(pattern) }
        if let numbers = bounds.numbers {
            fields["minimum"] = .integer(numbers.lowerBound)
            fields["maximum"] = .integer(numbers.upperBound)
        }
        return .object(fields)
    }

    private func object(_ fields: [SchemaField]) -> JSONValue {
        var properties: [String: JSONValue] = [:]
        for field in fields {
            var schema = reference(field.schema).fields ?? [:]
            if field.isNullable {
                if let type = schema["type"] {
                    schema["type"] = .array([type, "null"])
                } else {
                    schema = ["anyOf": .array([.object(schema), ["type": "null"]])]
                }
            }
            if let note = field.note { schema["description"] = .string(note) }
            properties[field.name] = .object(schema)
        }
        let required = fields.filter(\.isRequired).map { JSONValue.string($0.name) }
        var object: [String: JSONValue] = ["type": "object", "properties": .object(properties)]
        if !required.isEmpty { object["required"] = .array(required) }
        return .object(object)
    }

    /// Collects the named schemas inside a schema. Each is described once.
    private func collect(_ schema: Schema, into names: inout [String: JSONValue]) {
        switch schema {
        case .list(let inner), .map(let inner), .bounded(let inner, _): collect(inner, into: &names)
        case .either(let schemas): for schema in schemas { collect(schema, into: &names) }
        case .object(let fields): for field in fields { collect(field.schema, into: &names) }
        case .named(let name, let fields):
            guard names[name] == nil else { return }
            names[name] = object(fields)
            for field in fields { collect(field.schema, into: &names) }
        case .string, .integer, .number, .boolean, .null, .time, .words, .text: break
        }
    }
}
