import Database
import Model
import Storage
import Testing

@Suite struct OrganisationTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func refusal(_ body: @escaping @Sendable (Transaction) throws -> Void) async -> Refusal.Code? {
        do {
            try await database.write { try body($0) }
            return nil
        } catch { return (error as? Refusal)?.code }
    }

    private func people(_ names: String...) async throws -> [Caller] {
        var found: [Caller] = []
        for name in names { found.append(try await temporary.account(name, now: now)) }
        return found
    }

    @Test func everyAccountOwnsAnOrganisationOfItsOwn() async throws {
        let ana = try await people("ana")[0]
        let own = try await database.read { try ana.user.personalOrganisation(in: $0) }
        #expect(own.personalOf == ana.user.id && own.name == "ana")
        #expect(await refusal { _ = try own.delete(now: now, in: $0) } == .notPossible)
        let leaving = await refusal { connection in
            let member = try ana.member(may: .tenantRead, in: connection)
            _ = try Member.remove(ana.user.id, by: member, in: connection.tenant(own.id))
        }
        #expect(leaving == .notPossible)
    }

    @Test func everyOrganisationHasAShortNameOfItsOwn() async throws {
        let ana = try await people("Ana.B")[0]
        let own = try await database.read { try ana.user.personalOrganisation(in: $0) }
        #expect(own.slug == "ana.b")
        let slugs = try await database.write { connection in
            try ["Weather Balloon", "weather balloon", "Größe & Co", "✈︎", "Ana.B"].map {
                try Organisation.create(name: $0, owner: ana.user, now: now, in: connection).slug
            }
        }
        #expect(slugs == ["weather-balloon", "weather-balloon-2", "gr-e-co", "organisation", "ana.b-2"])
        let first = try await database.read { try Organisation.named("Weather Balloon", in: $0) }
        for bad in ["", "A", "-a", ".a", "a b", String(repeating: "a", count: 41)] {
            #expect(await refusal { _ = try first.change(.init(slug: bad), in: $0) } == .invalid, "\(bad)")
        }
        #expect(await refusal { _ = try first.change(.init(slug: "ana.b"), in: $0) } == .nameTaken)
        let changed = try await database.write { try first.change(.init(slug: "balloon"), in: $0) }
        #expect(changed.slug == "balloon" && changed.name == "Weather Balloon")
        let counts = try await database.read { try Member.counts(of: [first.id, "nowhere"], in: $0) }
        #expect(counts == [first.id: 1, "nowhere": 0])
    }

    @Test func aStrangerIsToldThatThereIsNothing() async throws {
        let all = try await people("ana", "ben")
        let team = try await temporary.team("team", [(all[0], .owner)], now: now)
        #expect(await refusal { _ = try all[1].member(of: team.id, may: .tenantRead, in: $0) } == .notFound)
        #expect(await refusal { _ = try all[1].member(of: "nowhere", may: .tenantRead, in: $0) } == .notFound)
    }

    @Test(arguments: Role.BuiltIn.allCases)
    func aRoleAllowsItsPermissionsAndNoOthers(role: Role.BuiltIn) async throws {
        let all = try await people("ana", "ben")
        let team = try await temporary.team("team", [(all[0], .owner), (all[1], role)], now: now)
        for key in PermissionKey.allCases {
            let answer = await refusal { _ = try all[1].member(of: team.id, may: key, in: $0) }
            #expect(answer == (role.permissions.contains(key) ? nil : .notAllowed), "\(role) \(key)")
        }
    }

    @Test func nobodyGrantsWhatHeLacks() async throws {
        let all = try await people("owner", "admin", "member", "guest")
        let team = try await temporary.team(
            "team", [(all[0], .owner), (all[1], .admin), (all[2], .member)], now: now)
        let (admin, now) = (all[1], self.now)
        let asOwner = await refusal { connection in
            let own = try admin.member(of: team.id, may: .tenantManageMembers, in: connection)
            _ = try Invitation.create(email: nil, role: Role(.owner), by: own, now: now, in: connection.tenant(team.id))
        }
        #expect(asOwner == .notAllowed)
        let demote = await refusal { connection in
            let own = try admin.member(of: team.id, may: .tenantManageMembers, in: connection)
            _ = try Member.setRole(of: all[0].user.id, to: Role(.member), by: own, in: connection.tenant(team.id))
        }
        #expect(demote == .notAllowed)
        let tooMuch = await refusal { connection in
            let own = try admin.member(of: team.id, may: .tenantManageRoles, in: connection)
            _ = try Role.create(
                name: "destroyer", permissions: [.tenantDelete], by: own, now: now, in: connection.tenant(team.id))
        }
        #expect(tooMuch == .notAllowed)
        let kick = await refusal { connection in
            let own = try admin.member(of: team.id, may: .tenantManageMembers, in: connection)
            _ = try Member.remove(all[0].user.id, by: own, in: connection.tenant(team.id))
        }
        #expect(kick == .notAllowed)
    }

    @Test func aCustomRoleCountsFromTheMomentItChanges() async throws {
        let all = try await people("owner", "ben")
        let team = try await temporary.team("team", [(all[0], .owner), (all[1], .member)], now: now)
        let now = self.now
        let role = try await database.write { connection in
            let own = try all[0].member(of: team.id, may: .tenantManageRoles, in: connection)
            let scope = connection.tenant(team.id)
            let role = try Role.create(name: "auditor", permissions: [.auditRead], by: own, now: now, in: scope)
            _ = try Member.setRole(of: all[1].user.id, to: role, by: own, in: scope)
            return role
        }
        #expect(await refusal { _ = try all[1].member(of: team.id, may: .auditRead, in: $0) } == nil)
        #expect(await refusal { _ = try all[1].member(of: team.id, may: .tenantRead, in: $0) } == .notAllowed)
        let removing = await refusal { connection in
            let own = try all[0].member(of: team.id, may: .tenantManageRoles, in: connection)
            _ = try Role.remove(id: role.id, by: own, in: connection.tenant(team.id))
        }
        #expect(removing == .inUse)
        _ = try await database.write { connection in
            let own = try all[0].member(of: team.id, may: .tenantManageRoles, in: connection)
            _ = try Role.change(id: role.id, permissions: [.usageRead], by: own, in: connection.tenant(team.id))
        }
        #expect(await refusal { _ = try all[1].member(of: team.id, may: .auditRead, in: $0) } == .notAllowed)
    }

    /// A server reads all revocations that are kept when it starts.
    @Test(arguments: ["member", "role", "owner", "added"])
    func whoMayHostAgainIsNotCutOffByTheNextStart(how: String) async throws {
        let all = try await people("owner", "ben")
        let team = try await temporary.team("team", [(all[0], .owner), (all[1], .member)], now: now)
        let (now, ben) = (self.now, all[1].user.id)
        let (before, after) = try await database.write { connection in
            let own = try all[0].member(of: team.id, may: .tenantManageMembers, in: connection)
            let scope = connection.tenant(team.id)
            let role = try Role.create(name: "auditor", permissions: [.auditRead], by: own, now: now, in: scope)
            if how == "added" {
                _ = try Member.remove(ben, by: own, in: scope)
            } else {
                _ = try Member.setRole(of: ben, to: role, by: own, in: scope)
            }
            let before = try Revocation.list(after: 0, in: connection).map(\.subject)
            switch how {
            case "member": _ = try Member.setRole(of: ben, to: Role(.member), by: own, in: scope)
            case "role": _ = try Role.change(id: role.id, permissions: [.sessionCreate], by: own, in: scope)
            case "owner": _ = try Member.transfer(to: ben, from: own, in: scope)
            default:
                let made = try Invitation.create(email: nil, role: Role(.member), by: own, now: now, in: scope)
                _ = try Invitation.accept(secret: made.secret, user: all[1].user, now: now, in: connection)
            }
            return (before, try Revocation.list(after: 0, in: connection).map(\.subject))
        }
        #expect(before.contains(.member(ben, team.id)))
        #expect(!after.contains(.member(ben, team.id)))
    }

    @Test func aRoleOfAnotherOrganisationIsNoRoleHere() async throws {
        let all = try await people("ana", "ben", "cai")
        let first = try await temporary.team("first", [(all[0], .owner)], now: now)
        let second = try await temporary.team("second", [(all[1], .owner), (all[2], .member)], now: now)
        let now = self.now
        let foreign = try await database.write { connection in
            let own = try all[0].member(of: first.id, may: .tenantManageRoles, in: connection)
            return try Role.create(
                name: "all", permissions: Set(PermissionKey.ofOrganisations), by: own, now: now,
                in: connection.tenant(first.id))
        }
        #expect(await refusal { _ = try Role.named(foreign.id, in: $0.tenant(second.id)) } == .notFound)
    }

    @Test func theLastOwnerStaysAndHandsOn() async throws {
        let all = try await people("ana", "ben")
        let team = try await temporary.team("team", [(all[0], .owner), (all[1], .member)], now: now)
        func leave(_ who: Caller) async -> Refusal.Code? {
            await refusal { connection in
                let own = try who.member(of: team.id, may: .tenantRead, in: connection)
                _ = try Member.remove(who.user.id, by: own, in: connection.tenant(team.id))
            }
        }
        #expect(await leave(all[0]) == .lastOwner)
        let removal = await refusal { try all[0].user.remove(in: $0) }
        #expect(removal == .lastOwner)
        try await database.write { connection in
            let own = try all[0].member(of: team.id, may: .tenantTransfer, in: connection)
            let owner = try Member.transfer(to: all[1].user.id, from: own, in: connection.tenant(team.id))
            #expect(owner.role.isOwner)
        }
        #expect(await leave(all[0]) == nil)
        #expect(await leave(all[1]) == .lastOwner)
    }

    @Test func aDeletedOrganisationComesBackWithin30DaysAndThenIsGone() async throws {
        let ana = try await people("ana")[0]
        let team = try await temporary.team("team", [(ana, .owner)], now: now)
        let end = try await database.write { try team.delete(now: now, in: $0) }
        #expect(end == now.advanced(bySeconds: 30 * 86_400))
        #expect(await refusal { _ = try ana.member(of: team.id, may: .tenantRead, in: $0) } == .notFound)
        #expect(
            await refusal { _ = try ana.member(of: team.id, may: .tenantRead, whileDeleted: true, in: $0) } == nil)
        #expect(try await database.write { try Organisation.purge(now: now, in: $0) }.isEmpty)
        try await database.write { try team.restore(in: $0) }
        #expect(await refusal { _ = try ana.member(of: team.id, may: .tenantRead, in: $0) } == nil)
        _ = try await database.write { try team.delete(now: now, in: $0) }
        #expect(try await database.write { try Organisation.purge(now: end, in: $0) } == ["team"])
        #expect(try await database.read { try Organisation.find(id: team.id, in: $0) } == nil)
    }

    @Test func aRequiredSecondFactorKeepsOthersOut() async throws {
        let ana = try await people("ana")[0]
        let team = try await temporary.team("team", [(ana, .owner)], now: now)
        _ = try await database.write { try team.change(Organisation.Change(requiresSecondFactor: true), in: $0) }
        let weak = Caller(
            user: ana.user, organisationId: team.id, credential: .signIn("s"), isStrong: false, address: "a")
        #expect(await refusal { _ = try weak.member(may: .tenantRead, in: $0) } == .secondFactor)
        #expect(await refusal { _ = try ana.member(of: team.id, may: .tenantRead, in: $0) } == nil)
    }

    @Test func aTokenIsForOneOrganisationAndItsScopes() async throws {
        let ana = try await people("ana")[0]
        let team = try await temporary.team("team", [(ana, .owner)], now: now)
        let token = Caller(
            user: ana.user, organisationId: team.id, credential: .apiToken("t"), scopes: [.auditRead], isStrong: true,
            address: "a")
        #expect(await refusal { _ = try token.member(may: .auditRead, in: $0) } == nil)
        #expect(await refusal { _ = try token.member(may: .tenantRead, in: $0) } == .notAllowed)
        #expect(await refusal { _ = try token.member(of: ana.user.id, may: .auditRead, in: $0) } == .notFound)
    }

    @Test func anInvitationForAnAddressIsForWhoHasProvedIt() async throws {
        let all = try await people("ana", "ben")
        let team = try await temporary.team("team", [(all[0], .owner)], now: now)
        let now = self.now
        let secret = try await database.write { connection in
            let own = try all[0].member(of: team.id, may: .tenantManageMembers, in: connection)
            return try Invitation.create(
                email: "ben@box.test", role: Role(.member), by: own, now: now, in: connection.tenant(team.id)
            ).secret
        }
        func accept(after seconds: Int64 = 0) async -> Refusal.Code? {
            await refusal { connection in
                let user = try User.named("ben", in: connection)
                _ = try Invitation.accept(
                    secret: secret, user: user, now: now.advanced(bySeconds: seconds), in: connection)
            }
        }
        #expect(await accept() == .notAllowed)
        try await database.write { try all[1].user.setEmail("ben@box.test", verifiedAt: nil, in: $0) }
        #expect(await accept() == .notAllowed)
        try await database.write { try all[1].user.setEmail("ben@box.test", verifiedAt: now, in: $0) }
        #expect(await accept(after: Invitation.lifetimeSeconds) == .invitation)
        #expect(await accept() == nil)
        #expect(await accept() == .invitation)
    }
}
