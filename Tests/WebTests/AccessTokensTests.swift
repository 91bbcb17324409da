import Database
import Logging
import Model
import Operations
import Storage
import Testing
import TestSupport

@testable import Web

@Suite struct AccessTokensTests {
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    @Test func whereTheDiskIsFullTheOldKeySignsOn() async throws {
        try await TemporaryDirectory.with { directory in
            let first = try Database(stateDirectory: directory)
            let made = try await AccessTokens(database: first, logger: Logger(label: "test")).makeStep(
                .secondFactor, subject: "ana", now: now)
            first.close()
            // No write that is not essential, and then none at all.
            for (isReadOnly, now) in [(false, now), (true, now.advanced(bySeconds: SigningKey.rotationSeconds + 1))] {
                let full = try Database(stateDirectory: directory, reserveBytes: Int.max)
                defer { full.close() }
                if isReadOnly { try await full.write(essential: true) { _ = try $0.run("PRAGMA query_only = 1") } }
                let tokens = AccessTokens(database: full, logger: Logger(label: "test"))
                let again = try await tokens.makeStep(.secondFactor, subject: "ben", now: now)
                #expect(try await tokens.step(.secondFactor, again, now: now)?.subject == "ben")
                if !isReadOnly { #expect(try await tokens.step(.secondFactor, made, now: now)?.subject == "ana") }
            }
        }
    }

    @Test func aDatabaseThatCannotBeAskedIsNoWrongToken() async throws {
        try await TemporaryDirectory.with { directory in
            let database = try Database(stateDirectory: directory)
            let made = try await AccessTokens(database: database, logger: Logger(label: "test")).makeStep(
                .secondFactor, subject: "ana", now: now)
            database.close()
            let tokens = AccessTokens(database: database, logger: Logger(label: "test"))
            await #expect(throws: StorageError.self) { try await tokens.step(.secondFactor, made, now: now) }
            await #expect(throws: StorageError.self) { try await tokens.verified(made, now: now) }
        }
    }
}
