import Database
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Operations
import Storage
import Wire

/// All data of an organisation in one archive: one JSON object per line, each with its `kind`, in a file with its own name.
///
/// The data is read and written in pages while it is sent, so that memory use does not depend on its size.
struct OrganisationExport: Sendable {
    let organisations: OrganisationOperations
    private var database: Database { organisations.database }

    private struct Line<Value: Encodable>: Encodable {
        let kind: String
        let value: Value
    }

    func response(of id: String, for caller: Caller) async throws -> Response {
        let name = try await organisations.beginExport(of: id, by: caller)
        let safe = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/x-ndjson; charset=utf-8",
                .contentDisposition: "attachment; filename=\"\(safe).ndjson\"",
            ],
            body: .init { writer in
                try await write(id, to: &writer)
                try await writer.finish(nil)
            })
    }

    /// The organisation itself comes first.
    private static let parts =
        WebFeature.organisations.exports
        + WebFeature.all.filter { $0.name != WebFeature.organisations.name }.flatMap(\.exports)

    private func write(_ id: String, to writer: inout any ResponseBodyWriter) async throws {
        for part in Self.parts {
            var place: String? = ""
            while let after = place {
                let page = try await database.read { connection -> (ByteBuffer, String?)? in
                    guard let page = try part.page(after, connection.tenant(id)) else { return nil }
                    return (Self.lines(part.kind, page.values), page.next)
                }
                if let page { try await writer.write(page.0) }
                place = page?.1
            }
        }
    }

    private static func lines(_ kind: String, _ values: [any Encodable]) -> ByteBuffer {
        var out = ByteBuffer()
        for value in values {
            out.writeImmutableBuffer(line(kind, value))
            out.writeString("\n")
        }
        return out
    }

    private static func line(_ kind: String, _ value: some Encodable) -> ByteBuffer {
        JSONText.encode(Line(kind: kind, value: value))
    }
}
