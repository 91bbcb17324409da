import Crypto
import FoundationEssentials
import HTTP1
import Limits
import Model
import NIOCore
import Testing
import Wire

@testable import Tunnels

/// The parts of policies that count: they are given the time, and need no connection.
@Suite struct PolicyTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test func theBreakerOpensTriesOnceAndClosesAgain() {
        var breaker = CircuitBreaker(failures: 3, pause: .seconds(30))
        for failed in [true, true, false, true, true] {
            #expect(breaker.begin(now: start) == nil)
            breaker.ended(failed: failed, now: start)
        }
        // A visitor that leaves says nothing about the service.
        #expect(breaker.begin(now: start) == nil)
        breaker.ended(failed: nil, now: start)
        #expect(breaker.begin(now: start) == nil)
        breaker.ended(failed: true, now: start)
        #expect(breaker.begin(now: start) == 30)
        #expect(breaker.begin(now: start + .milliseconds(29_500)) == 1)
        let later = start + .seconds(30)
        #expect(breaker.begin(now: later) == nil)
        // One request at a time finds out.
        #expect(breaker.begin(now: later) == 1)
        breaker.ended(failed: true, now: later)
        #expect(breaker.begin(now: later) == 30)
        #expect(breaker.begin(now: later + .seconds(30)) == nil)
        breaker.ended(failed: nil, now: later + .seconds(30))
        #expect(breaker.begin(now: later + .seconds(30)) == nil)
        breaker.ended(failed: false, now: later + .seconds(31))
        for _ in 0..<5 { #expect(breaker.begin(now: later + .seconds(31)) == nil) }
    }

    @Test func ratesAreKeptByKeyAndComeBackEvenly() {
        var rate = RequestRate(perMinute: 60, now: start)
        for _ in 0..<60 { #expect(rate.begin("a", now: start) == nil) }
        #expect(rate.begin("a", now: start) == 1 && rate.begin("b", now: start) == nil)
        #expect(rate.begin("a", now: start + .seconds(1)) == nil && rate.begin("a", now: start + .seconds(1)) == 1)
        for _ in 0..<60 { #expect(rate.begin("a", now: start + .seconds(600)) == nil) }
        #expect(rate.begin("a", now: start + .seconds(600)) != nil)
    }

    /// However many keys there are, memory is bounded, and a key that keeps asking stays limited.
    @Test func manyKeysAreBounded() {
        var rate = RequestRate(perMinute: 1, now: start)
        var now = start
        #expect(rate.begin("loud", now: now) == nil)
        for number in 0..<25_000 {
            now = now + .milliseconds(1)
            _ = rate.begin("\(number)", now: now)
            if number % 100 == 0 { #expect(rate.begin("loud", now: now) != nil) }
        }
        #expect(rate.count <= RequestRate.capacity)
    }

    private let ana = EdgeMember(userId: "1", username: "ana", organisationId: "o", credentialId: "c")
    private let ben = EdgeMember(userId: "2", username: "ben", organisationId: "o", credentialId: "d")

    @Test func codesWorkOnceOnTheirHostInTheirBrowserAndInTime() {
        var table = MemberTable()
        let now = Timestamp(milliseconds: 1_000_000)
        func code(_ table: inout MemberTable) -> String { table.makeCode(for: ana, host: "h", state: "s", now: now) }
        for (host, state, seconds) in [("x", "s", 0), ("h", "x", 0), ("h", "s", 60)] as [(String, String, Int64)] {
            let one = code(&table)
            #expect(table.redeem(one, host: host, state: state, now: now.advanced(bySeconds: seconds)) == nil)
            // A failed attempt uses it up.
            #expect(table.redeem(one, host: "h", state: "s", now: now) == nil)
        }
        let one = code(&table)
        let token = table.redeem(one, host: "h", state: "s", now: now.advanced(bySeconds: 59))
        #expect(token != nil && table.redeem(one, host: "h", state: "s", now: now) == nil)
        #expect(table.member(token ?? "", host: "h", now: now) == ana)
        #expect(table.member(token ?? "", host: "x", now: now) == nil && table.member("x", host: "h", now: now) == nil)
        let end = now.advanced(bySeconds: 59 + MemberTable.sessionSeconds)
        #expect(table.member(token ?? "", host: "h", now: end) == nil)
        table.remove { $0.userId == "2" }
        #expect(table.member(token ?? "", host: "h", now: now) == ana)
        table.remove { $0.userId == "1" }
        #expect(table.member(token ?? "", host: "h", now: now) == nil)
    }

    @Test func sessionsAreBoundedAndTheOldestGo() {
        var table = MemberTable()
        let now = Timestamp(milliseconds: 1_000_000)
        var tokens: [String] = []
        for number in 0...MemberTable.capacity {
            let one = EdgeMember(userId: "\(number)", username: "x", organisationId: "o", credentialId: "c")
            let code = table.makeCode(for: one, host: "h", state: "s", now: now)
            if let token = table.redeem(code, host: "h", state: "s", now: now) { tokens.append(token) }
        }
        #expect(table.members.count <= MemberTable.capacity)
        #expect(table.member(tokens[0], host: "h", now: now) == nil)
        #expect(table.member(tokens[tokens.count - 1], host: "h", now: now) != nil)
    }

    /// One person cannot push others out, and a session ends with the proof that it needs.
    @Test func sessionsOfOnePersonAreFewAndEndWithTheirProof() {
        var table = MemberTable()
        let now = Timestamp(milliseconds: 1_000_000)
        func enter(_ member: EdgeMember) -> String? {
            let code = table.makeCode(for: member, host: "h", state: "s", now: now)
            return table.redeem(code, host: "h", state: "s", now: now)
        }
        let first = enter(ana)
        for _ in 0..<200 { _ = enter(ben) }
        #expect(table.members.count == MemberTable.perUser + 1)
        #expect(table.member(first ?? "", host: "h", now: now) == ana)
        let proved = EdgeMember(
            userId: "3", username: "cy", organisationId: "o", credentialId: "e", endsAt: now.advanced(bySeconds: 60))
        let short = enter(proved)
        #expect(table.member(short ?? "", host: "h", now: now.advanced(bySeconds: 59)) == proved)
        #expect(table.member(short ?? "", host: "h", now: now.advanced(bySeconds: 60)) == nil)
    }

    /// The token that the edge itself signs is taken in its time, and by a clock that is wrong it is not.
    @Test func aWrongClockAndAWrongKeyRefuseTokens() async throws {
        let key = Curve25519.Signing.PrivateKey()
        let signer = IdentitySigner(keyId: "one", key: key, issuer: "https://box.example")
        let now = Timestamp(milliseconds: 1_700_000_000_000)
        let token = try #require(signer.token(for: ana, host: "h", now: now))
        func rules(_ key: Curve25519.Signing.PrivateKey, audience: String? = nil) throws -> BearerRules {
            let x = Base64.url(Array(key.publicKey.rawRepresentation))
            return try BearerRules(
                BearerPolicy(
                    audience: audience, keys: #"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"\#(x)"}]}"#))
        }
        let (seconds, right) = (1_700_000_000.0, try rules(key))
        #expect(await right.verify(token, now: seconds) == seconds + 120)
        // A minute of difference is allowed.
        #expect(await right.verify(token, now: seconds + 119) != nil)
        for wrong in [121.0, 86_400] { #expect(await right.verify(token, now: seconds + wrong) == nil) }
        #expect(try await rules(Curve25519.Signing.PrivateKey()).verify(token, now: seconds) == nil)
        #expect(try await rules(key, audience: "h").verify(token, now: seconds) != nil)
        #expect(try await rules(key, audience: "x").verify(token, now: seconds) == nil)
    }

    @Test func pathsToReturnToStayOnTheHost() {
        for good in ["/", "/a?b=c", "/%2F/x"] { #expect(MemberGate.isPath(good)) }
        for bad in [
            "", "a", "//x", "/\\x", "https://x", "/a b", "/\r\nX: y", "/é", "/" + String(repeating: "a", count: 1024),
        ] {
            #expect(!MemberGate.isPath(bad), "\(bad)")
        }
    }

    @Test func headersThatFrameOrRouteCannotBeChanged() throws {
        for name in [
            "Host", "content-length", "Transfer-Encoding", "Connection", "X-Postern-User", "X-Forwarded-For", "", "a b",
            "a:",
        ] {
            #expect(throws: AccessRules.Problem.self, "\(name)") { try HeaderRules(HeaderEdits(set: [name: "x"])) }
            #expect(throws: AccessRules.Problem.self, "\(name)") { try HeaderRules(HeaderEdits(remove: [name])) }
        }
        for value in ["a\r\nb", "a\u{0}", String(repeating: "a", count: 4097)] {
            #expect(throws: AccessRules.Problem.self) { try HeaderRules(HeaderEdits(set: ["X-A": value])) }
        }
        let rules = try HeaderRules(HeaderEdits(set: ["X-A": "1", "x-b": "2"], remove: ["Server"]))
        #expect(String(buffer: rules.lines) == "X-A: 1\r\nx-b: 2\r\n" && rules.removed == ["x-a", "x-b", "server"])
    }
}
