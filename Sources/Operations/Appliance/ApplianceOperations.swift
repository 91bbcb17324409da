public import Database
import Model
public import Storage

/// Operations on the server itself: stored secrets, key rotation, incidents.
public struct ApplianceOperations: Sendable {
    private let database: Database
    private let actor: Audit.Actor

    /// - Parameter actor: recorded in the audit log as the actor.
    public init(database: Database, actor: Audit.Actor) {
        self.database = database
        self.actor = actor
    }

    private static func record(
        _ action: AuditAction, _ target: String, _ detail: String = "", _ actor: Audit.Actor, _ connection: Transaction
    ) throws {
        try Audit.record(
            action, target: target, detail: detail, actor: actor, now: .now(), in: connection.tenant(Audit.appliance))
    }

    // MARK: Secrets

    /// Stores a secret setting sealed in the database.
    /// - Throws: ``StorageError``.
    public func setSecret(_ name: String, to secret: String) async throws {
        try await database.write { [actor] connection in
            try StoredSecret.set(name, to: secret, now: .now(), in: connection)
            try Self.record(.secretSet, name, "", actor, connection)
        }
    }

    /// - Returns: whether there was one.
    /// - Throws: ``StorageError``.
    public func removeSecret(_ name: String) async throws -> Bool {
        try await database.write { [actor] connection in
            let found = try StoredSecret.remove(name, in: connection)
            if found { try Self.record(.secretSet, name, "removed", actor, connection) }
            return found
        }
    }

    // MARK: Keys

    /// Creates a new master key and wraps every organisation's data key with it.
    /// - Returns: the number of wrapped keys.
    /// - Throws: ``StorageError``.
    public func rotateMasterKey() async throws -> Int {
        try await database.rotateMasterKey { [actor] connection, count in
            try Self.record(.keysRotated, Keyring.masterName, "\(count) data keys", actor, connection)
        }
    }

    /// Creates a new key for access tokens. Tokens signed with older keys stay valid.
    /// - Returns: the key's id.
    /// - Throws: ``StorageError``.
    public func rotateSigningKey() async throws -> String {
        try await database.write { [actor] connection in
            let id = try SigningKey.add(now: .now(), in: connection)
            try Self.record(.keysRotated, "signing key", id, actor, connection)
            return id
        }
    }

    // MARK: The owner's own words

    /// - Throws: ``StorageError``.
    public func text(_ text: OwnerText) async throws -> String? { try await database.read { try text.read(in: $0) } }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func set(_ text: OwnerText, to value: String) async throws {
        try await database.write { [actor] connection in
            try text.set(value, now: .now(), in: connection)
            try Self.record(.ownerTextSet, text.rawValue, "\(value.count) characters", actor, connection)
        }
    }

    // MARK: Incidents

    /// - Throws: ``Refusal``; ``StorageError``.
    public func postIncident(_ text: String) async throws -> Incident {
        try await database.write { try Incident.post(text, now: .now(), in: $0) }
    }

    /// - Parameter id: the id, or its last characters.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func resolveIncident(_ id: String) async throws -> Incident {
        try await database.write { try Incident.resolve(id: id, now: .now(), in: $0) }
    }

    /// - Throws: ``StorageError``.
    public func incidents(includingResolved all: Bool) async throws -> [Incident] {
        try await database.read { try Incident.list(includingResolved: all, in: $0) }
    }
}
