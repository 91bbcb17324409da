import Model
import Operations
import Storage
import Wire

// The API's input and output types for organisations.

struct NewOrganisation: Decodable { let name: String }
struct OrganisationChange: Decodable {
    let name, slug: String?
    let requiresSecondFactor, takesGuestsWithoutAccount: Bool?

    var change: Organisation.Change {
        Organisation.Change(
            name: name, slug: slug, requiresSecondFactor: requiresSecondFactor,
            takesGuestsWithoutAccount: takesGuestsWithoutAccount)
    }
}

struct RoleChange: Decodable { let role: String }
struct Transfer: Decodable { let userId: String }
struct NewInvitation: Decodable { let role: String; let email: String? }
struct NewRole: Decodable { let name: String; let permissions: [String] }
struct PermissionsChange: Decodable { let permissions: [String] }
struct PlanChange: Decodable { let plan: String }

struct OrganisationResource: Encodable {
    let id, slug, name, plan, createdAt: String
    /// `active`, or `deleted` while it can be restored.
    let status: String
    /// Only in lists.
    var memberCount: Int?
    let isPersonal, requiresSecondFactor, takesGuestsWithoutAccount: Bool
    /// The caller's own role. Absent for administrators of the server who are not members.
    let role: String?
    let permissions: [String]?
    let deleteAfter: String?

    init(_ organisation: Organisation, role: Role?) {
        id = organisation.id
        slug = organisation.slug
        status = organisation.deleteAfter == nil ? "active" : "deleted"
        name = organisation.name
        plan = organisation.plan.rawValue
        createdAt = organisation.createdAt.iso
        isPersonal = organisation.personalOf != nil
        requiresSecondFactor = organisation.requiresSecondFactor
        takesGuestsWithoutAccount = organisation.takesGuestsWithoutAccount
        self.role = role?.name
        permissions = role.map { $0.permissions.sorted().map(\.rawValue) }
        deleteAfter = organisation.deleteAfter?.iso
    }

    init(_ member: Member, memberCount: Int? = nil) {
        self.init(member.organisation, role: member.role)
        self.memberCount = memberCount
    }
}

struct MemberResource: Encodable {
    let userId, username, role, since: String
    @NullWhenAbsent var email: String?

    init(_ member: Member) {
        userId = member.user.id
        username = member.user.username
        _email = NullWhenAbsent(wrappedValue: member.user.email)
        role = member.role.name
        since = member.since.iso
    }
}

struct InvitationResource: Encodable {
    let id, role, invitedBy, createdAt, expiresAt: String
    let email: String?
    /// Only in the response to its creation.
    var secret: String?
    var path: String?

    init(_ invitation: Invitation, roleName: String, secret: String? = nil) {
        id = invitation.id
        role = roleName
        invitedBy = invitation.invitedBy
        createdAt = invitation.createdAt.iso
        expiresAt = invitation.expiresAt.iso
        email = invitation.email
        self.secret = secret
        path = secret.map { "/invitation/\($0)" }
    }
}

struct RoleResource: Encodable {
    let id, name: String
    let isBuiltIn: Bool
    let permissions: [String]

    init(_ role: Role) {
        id = role.id
        name = role.name
        isBuiltIn = role.isBuiltIn
        permissions = role.permissions.sorted().map(\.rawValue)
    }
}

/// The limits of a plan and their current use. -1 is no limit.
struct PlanResource: Encodable {
    let plan: String
    let limits: [String: Int]
    let current: [String: Int]

    init(_ use: OrganisationOperations.PlanUse) {
        plan = use.plan.rawValue
        limits = use.limits.named
        current = Dictionary(uniqueKeysWithValues: use.current.map { ($0.key.rawValue, $0.value) })
    }
}

/// An organisation for administrators of the server.
struct OverviewResource: Encodable {
    let organisation: OrganisationResource
    let limits: [String: Int]
    let members, openSessions, guests: Int
    /// The usage of the last 24 hours.
    let usage: [UsageResource]

    init(_ found: OrganisationOperations.Overview) {
        organisation = OrganisationResource(found.organisation, role: nil)
        limits = found.limits.named
        (members, openSessions, guests) = (found.now.members, found.now.openSessions, found.now.guests)
        usage = found.usage.map(UsageResource.init)
    }
}

struct UsageResource: Encodable {
    let hour, unit: String
    let amount: Int

    init(_ sum: UsageLedger.Sum) {
        hour = Timestamp(milliseconds: sum.hour * 3_600_000).iso
        unit = sum.unit.rawValue
        amount = sum.amount
    }
}

struct AuditResource: Encodable {
    let number: Int
    let at, actorId, actor, action, target, address, credential, userAgent, result, detail, digest: String

    init(_ event: Audit.Event) {
        number = event.number
        at = event.at.iso
        actorId = event.actorId
        actor = event.actorName
        action = event.action
        target = event.target
        address = event.address
        credential = event.credential
        userAgent = event.userAgent
        result = event.result
        detail = event.detail
        digest = Hexadecimal.text(event.digest)
    }
}
