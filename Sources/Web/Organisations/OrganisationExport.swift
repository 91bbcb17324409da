import Database
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Operations
import Storage
import Wire

/// All of an organisation's data as one archive: one JSON object a line, each with its `kind`, in a file of its own name.
///
/// It is read and written in pages while it is sent, so that its size costs no memory.
struct OrganisationExport: Sendable {
    let organisations: OrganisationOperations
    private var database: Database { organisations.database }

    private struct Line<Value: Encodable>: Encodable {
        let kind: String
        let value: Value
    }

    private struct ExportedToken: Encodable {
        let userId: String
        let token: TokenResource
    }

    /// Without the code itself: while it lives it lets people in.
    private struct ExportedCode: Encodable {
        let sessionId, permission, createdAt: String
        let currentUses: Int
        let maxUses: Int?
        let expiresAt, revokedAt: String?
    }

    private struct ExportedGuest: Encodable {
        let id, sessionId, userId, permission, joinedAt: String
        let leftAt: String?
    }

    /// Hours since 1970 of the year 2286: the end of every ledger.
    private static let farAway: Int64 = 2_777_777

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

    private func write(_ id: String, to writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(try await database.read { try Self.head(id, $0) })
        try await pages(id, to: &writer, "", Self.members)
        try await pages(id, to: &writer, "", Self.tokens)
        try await pages(id, to: &writer, "", Self.sessions)
        try await pages(id, to: &writer, CodePlace(), Self.codes)
        try await pages(id, to: &writer, "", Self.guests)
        try await pages(id, to: &writer, Int?.none, Self.auditEvents)
    }

    /// Writes one kind, page by page.
    /// - Parameter body: gives a page and where the next one begins; nil at the end.
    private func pages<Place: Sendable>(
        _ id: String, to writer: inout any ResponseBodyWriter, _ start: Place,
        _ body: @escaping @Sendable (Place, TenantScope) throws -> (ByteBuffer, next: Place)?
    ) async throws {
        var place = start
        while true {
            let from = place
            guard let page = try await database.read({ try body(from, $0.tenant(id)) }) else { return }
            try await writer.write(page.0)
            place = page.next
        }
    }

    // MARK: Kinds

    /// What there is little of.
    private static func head(_ id: String, _ connection: Transaction) throws -> ByteBuffer {
        let scope = connection.tenant(id)
        var out = ByteBuffer()
        if let organisation = try Organisation.find(id: id, in: connection) {
            out.writeImmutableBuffer(lines("organisation", [OrganisationResource(organisation, role: nil)]))
        }
        out.writeImmutableBuffer(
            lines("role", try Role.list(in: scope).filter { !$0.isBuiltIn }.map(RoleResource.init)))
        let invitations = try Invitation.list(now: .now(), in: scope)
        out.writeImmutableBuffer(lines("invitation", invitations.map { InvitationResource($0, roleName: $0.roleId) }))
        let sums = try UsageLedger.sums(from: 0, to: farAway, in: scope)
        out.writeImmutableBuffer(lines("usage", sums.map(UsageResource.init)))
        return out
    }

    private static func members(_ after: String, _ scope: TenantScope) throws -> (ByteBuffer, next: String)? {
        let page = try Member.list(after: after, in: scope)
        return page.last.map { (lines("member", page.map(MemberResource.init)), $0.user.username) }
    }

    private static func tokens(_ after: String, _ scope: TenantScope) throws -> (ByteBuffer, next: String)? {
        let page = try APIToken.list(after: after, in: scope)
        let made = page.map { ExportedToken(userId: $0.userId, token: TokenResource($0)) }
        return page.last.map { (lines("token", made), $0.id) }
    }

    private static func sessions(_ after: String, _ scope: TenantScope) throws -> (ByteBuffer, next: String)? {
        let page = try ShareSession.history(after: after, in: scope)
        return page.last.map { (lines("session", page.map { SessionResource($0) }), $0.id) }
    }

    private struct CodePlace: Sendable {
        var createdAt = Timestamp(milliseconds: 0)
        var code = ""
    }

    private static func codes(_ after: CodePlace, _ scope: TenantScope) throws -> (ByteBuffer, next: CodePlace)? {
        let page = try ShareCode.history(after: (after.createdAt, after.code), in: scope)
        let made = page.map {
            ExportedCode(
                sessionId: $0.sessionId, permission: $0.permission.rawValue, createdAt: $0.createdAt.iso,
                currentUses: $0.currentUses, maxUses: $0.maxUses, expiresAt: $0.expiresAt?.iso,
                revokedAt: $0.revokedAt?.iso)
        }
        return page.last.map { (lines("code", made), CodePlace(createdAt: $0.createdAt, code: $0.code)) }
    }

    private static func guests(_ after: String, _ scope: TenantScope) throws -> (ByteBuffer, next: String)? {
        let page = try Connection.history(after: after, in: scope)
        let made = page.map {
            ExportedGuest(
                id: $0.id, sessionId: $0.sessionId, userId: $0.userId, permission: $0.permission.rawValue,
                joinedAt: $0.joinedAt.iso, leftAt: $0.leftAt?.iso)
        }
        return page.last.map { (lines("guest", made), $0.id) }
    }

    /// Newest first.
    private static func auditEvents(_ before: Int?, _ scope: TenantScope) throws -> (ByteBuffer, next: Int?)? {
        let page = try Audit.list(Audit.Filter(before: before), limit: 500, in: scope)
        return page.last.map { (lines("audit_event", page.map(AuditResource.init)), $0.number) }
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
