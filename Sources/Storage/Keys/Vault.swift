import Crypto
import Database
import Model

/// Encrypts stored secrets: AES-256-GCM with a data key for each organisation, which the master key wraps.
///
/// A sealed value is one byte of version (1), 12 of nonce, the ciphertext and 16 of tag. The associated data names
/// organisation, table, row and column, so that a value that is moved to another place cannot be opened there. Rotating
/// the master key rewraps the data keys and does not change the secrets.
enum Vault {
    /// The organisation for values that belong to the appliance itself.
    static let appliance = "appliance"
    private static let version: UInt8 = 1

    /// The place where a secret is stored.
    struct Place {
        let table, row, column: String

        fileprivate func data(_ organisationId: String) -> [UInt8] {
            Array([organisationId, table, row, column].joined(separator: "\u{0}").utf8)
        }
    }

    /// - Throws: ``StorageError``.
    static func seal(_ secret: [UInt8], at place: Place, in scope: TenantScope) throws -> [UInt8] {
        try seal(secret, with: dataKey(in: scope), binding: place.data(scope.organisationId))
    }

    /// - Throws: ``StorageError`` if the value was not sealed for this place.
    static func open(_ sealed: [UInt8], at place: Place, in scope: TenantScope) throws -> [UInt8] {
        try open(sealed, with: dataKey(in: scope), binding: place.data(scope.organisationId))
    }

    /// Wraps every data key again. Returns the number of data keys.
    static func rewrap(in connection: Transaction) throws -> Int {
        let keys = try connection.keysAndPlans.keyring()
        let stored = try connection.across(.upkeep).rows("SELECT organisation_id, master, wrapped FROM data_keys") {
            (try $0.text("organisation_id"), try $0.text("master"), try $0.blob("wrapped"))
        }
        let newest = try keys.newestMaster()
        for (organisation, master, wrapped) in stored where master != newest.id {
            let binding = Array("data_keys\u{0}\(organisation)".utf8)
            let key = try open(wrapped, with: keys.master(id: master).key, binding: binding)
            try connection.tenant(organisation).run(
                "UPDATE data_keys SET master = ?, wrapped = ? WHERE organisation_id = :organisation",
                newest.id, try seal(key, with: newest.key, binding: binding))
        }
        return stored.count
    }

    /// Opens some of the data keys.
    /// - Throws: ``StorageError`` if they were wrapped with a different master key.
    static func check(in connection: Transaction, samples: Int) throws {
        let keys = try connection.keysAndPlans.keyring()
        let stored = try connection.across(.upkeep).rows(
            "SELECT organisation_id, master, wrapped FROM data_keys LIMIT ?", samples
        ) { (try $0.text("organisation_id"), try $0.text("master"), try $0.blob("wrapped")) }
        var failure: (any Error)?
        for (organisation, master, wrapped) in stored {
            do {
                _ = try open(
                    wrapped, with: keys.master(id: master).key, binding: Array("data_keys\u{0}\(organisation)".utf8))
                // One damaged row does not mean that the key is wrong.
                return
            } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    /// Whether any value was ever sealed.
    static func isUsed(in connection: Transaction) throws -> Bool {
        try connection.across(.upkeep).first("SELECT 1 AS found FROM data_keys LIMIT 1") {
            try $0.integer("found")
        } != nil
    }

    private static func dataKey(in scope: TenantScope) throws -> SymmetricKey {
        let keys = try scope.transaction.keysAndPlans.keyring()
        let binding = Array("data_keys\u{0}\(scope.organisationId)".utf8)
        let stored = try scope.first(
            "SELECT master, wrapped FROM data_keys WHERE organisation_id = :organisation"
        ) { (try $0.text("master"), try $0.blob("wrapped")) }
        if let (master, wrapped) = stored {
            return SymmetricKey(data: try open(wrapped, with: keys.master(id: master).key, binding: binding))
        }
        let key = KeyFile.random()
        let newest = try keys.newestMaster()
        try scope.run(
            "INSERT INTO data_keys (organisation_id, master, wrapped, created_at) VALUES (:organisation, ?, ?, ?)",
            newest.id, try seal(key, with: newest.key, binding: binding), Timestamp.now())
        return SymmetricKey(data: key)
    }

    private static func seal(_ plain: [UInt8], with key: SymmetricKey, binding: [UInt8]) throws -> [UInt8] {
        // This fails only for an invalid key size, and the size is constant.
        guard let box = try? AES.GCM.seal(plain, using: key, authenticating: binding).combined else {
            throw StorageError(.failed, "a secret cannot be sealed")
        }
        return [version] + box
    }

    private static func open(_ sealed: [UInt8], with key: SymmetricKey, binding: [UInt8]) throws -> [UInt8] {
        guard sealed.first == version, let box = try? AES.GCM.SealedBox(combined: sealed.dropFirst()),
            let plain = try? AES.GCM.open(box, using: key, authenticating: binding)
        else { throw StorageError(.corrupt, "a secret in the database was changed or moved; restore a backup") }
        return Array(plain)
    }
}
