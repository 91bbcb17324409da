import HTTPTypes
import Hummingbird
import NIOCore
import Storage
import Wire

/// All of an organisation's data as one archive: one JSON object a line, each with its `kind`, in a file of its own name.
///
/// It is written in pages while it is sent, so that its size costs no memory.
struct OrganisationExport: Sendable {
    let database: Database

    private struct Line<Value: Encodable>: Encodable {
        let kind: String
        let value: Value
    }

    /// Hours since 1970 of the year 2286: the end of every ledger.
    private static let farAway: Int64 = 2_777_777

    func response(of id: String, for caller: Caller) async throws -> Response {
        let name = try await database.write { connection -> String in
            let member = try caller.member(of: id, may: .tenantExport, whileDeleted: true, in: connection)
            try Audit.record(
                .organisationExported, target: member.organisation.name, by: caller, now: .now(),
                in: connection.tenant(id))
            return member.organisation.name
        }
        let safe = String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
        let database = self.database
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/x-ndjson; charset=utf-8",
                .contentDisposition: "attachment; filename=\"\(safe).ndjson\"",
            ],
            body: .init { writer in
                try await writer.write(try await database.read { try Self.head(id, $0) })
                var before: Int? = nil
                while true {
                    let filter = Audit.Filter(before: before)
                    let page = try await database.read { try Audit.list(filter, limit: 500, in: $0.tenant(id)) }
                    guard let last = page.last else { break }
                    try await writer.write(Self.lines("audit_event", page.map(AuditResource.init)))
                    before = last.number
                }
                try await writer.finish(nil)
            })
    }

    /// Everything but the audit log, which may be long.
    private static func head(_ id: String, _ connection: SQLiteConnection) throws -> ByteBuffer {
        let scope = connection.tenant(id)
        var out = ByteBuffer()
        if let organisation = try Organisation.find(id: id, in: connection) {
            out.writeImmutableBuffer(lines("organisation", [OrganisationResource(organisation, role: nil)]))
        }
        out.writeImmutableBuffer(
            lines("role", try Role.list(in: scope).filter { !$0.isBuiltIn }.map(RoleResource.init)))
        var after = ""
        while true {
            let page = try Member.list(after: after, in: scope)
            out.writeImmutableBuffer(lines("member", page.map(MemberResource.init)))
            guard let last = page.last else { break }
            after = last.user.username
        }
        let invitations = try Invitation.list(now: .now(), in: scope)
        out.writeImmutableBuffer(lines("invitation", invitations.map { InvitationResource($0, roleName: $0.roleId) }))
        let sessions = try ShareSession.history(in: scope)
        out.writeImmutableBuffer(lines("session", sessions.map { SessionResource($0) }))
        let sums = try UsageLedger.sums(from: 0, to: farAway, in: scope)
        out.writeImmutableBuffer(lines("usage", sums.map(UsageResource.init)))
        return out
    }

    private static func lines(_ kind: String, _ values: [some Encodable]) -> ByteBuffer {
        var out = ByteBuffer()
        for value in values {
            out.writeImmutableBuffer(JSONText.encode(Line(kind: kind, value: value)))
            out.writeString("\n")
        }
        return out
    }
}
