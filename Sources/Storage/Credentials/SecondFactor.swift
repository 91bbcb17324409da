public import Database
public import Model

/// The second factor of an account: codes of an authenticator app, or one of ten recovery codes.
public enum SecondFactor {
    /// The number of recovery codes: as many as fit on a small paper.
    public static let recoveryCodeCount = 10

    private static func place(_ userId: String) -> Vault.Place {
        Vault.Place(table: "second_factors", row: userId, column: "seed")
    }

    public static func isOn(userId: String, in database: Transaction) throws -> Bool {
        try database.first(
            "SELECT 1 AS found FROM second_factors WHERE user_id = ? AND confirmed_at IS NOT NULL", userId
        ) { try $0.integer("found") } != nil
    }

    /// Creates a seed. It is active after one of its codes was entered. A seed that was never confirmed is replaced.
    /// - Throws: ``Refusal`` `.invalid` if there is one; ``StorageError``.
    public static func begin(userId: String, now: Timestamp, in database: Transaction) throws -> [UInt8] {
        guard try !isOn(userId: userId, in: database) else {
            throw Refusal(.notPossible, "A second factor is already set up; turn it off first.")
        }
        let seed = Array(KeyFile.random().prefix(TOTP.seedBytes))
        let sealed = try Vault.seal(seed, at: place(userId), in: database.tenant(userId))
        try database.run(
            """
            INSERT INTO second_factors (user_id, seed, created_at) VALUES (?, ?, ?)
            ON CONFLICT (user_id) DO UPDATE SET seed = excluded.seed, created_at = excluded.created_at, last_step = 0
            """, userId, sealed, now)
        return seed
    }

    /// The seed that is not confirmed yet, to be shown again.
    public static func pending(userId: String, in database: Transaction) throws -> [UInt8]? {
        let sealed = try database.first(
            "SELECT seed FROM second_factors WHERE user_id = ? AND confirmed_at IS NULL", userId
        ) { try $0.blob("seed") }
        return try sealed.map { try Vault.open($0, at: place(userId), in: database.tenant(userId)) }
    }

    /// Activates the second factor with a first code.
    /// - Returns: the recovery codes. They are not shown again.
    /// - Throws: ``Refusal`` `.code`; ``StorageError``.
    public static func confirm(
        code: String, userId: String, now: Timestamp, in database: Transaction
    ) throws -> [String] {
        let code = plain(code)
        guard try !isOn(userId: userId, in: database), try takeCode(code, userId: userId, now: now, in: database) else {
            throw Refusal(.code, "This is not the app's current code; check the clocks of both devices.")
        }
        try database.run("UPDATE second_factors SET confirmed_at = ? WHERE user_id = ?", now, userId)
        return try renewRecoveryCodes(userId: userId, in: database)
    }

    /// Accepts a code of the app or a recovery code. Each works once.
    /// - Returns: whether the code was valid.
    public static func take(
        _ code: String, userId: String, now: Timestamp, in database: Transaction
    ) throws -> Bool {
        let plain = plain(code)
        if plain.count == 6, try takeCode(plain, userId: userId, now: now, in: database) { return true }
        return try database.run(
            "UPDATE recovery_codes SET used_at = ? WHERE digest = ? AND user_id = ? AND used_at IS NULL", now,
            digest(plain, userId), userId) > 0
    }

    /// Normalises codes: apps and phones write `123 456` and `6u88-jqsd-7u82`, and some input methods write full-width letters.
    private static func plain(_ code: String) -> String {
        FullWidth.narrowed(code).filter { !$0.isWhitespace && $0 != "-" }
    }

    /// Creates ten new codes, which replace all older ones.
    public static func renewRecoveryCodes(userId: String, in database: Transaction) throws -> [String] {
        try database.run("DELETE FROM recovery_codes WHERE user_id = ?", userId)
        return try (0..<recoveryCodeCount).map { _ in
            let code = RandomText.makeReadable(letters: 12)
            try database.run(
                "INSERT INTO recovery_codes (digest, user_id) VALUES (?, ?)", digest(code, userId), userId)
            return code.prefix(4) + "-" + code.dropFirst(4).prefix(4) + "-" + code.suffix(4)
        }
    }

    public static func recoveryCodesLeft(userId: String, in database: Transaction) throws -> Int {
        try database.first(
            "SELECT COUNT(*) AS found FROM recovery_codes WHERE user_id = ? AND used_at IS NULL", userId
        ) { try $0.integer("found") } ?? 0
    }

    public static func turnOff(userId: String, in database: Transaction) throws {
        try database.run("DELETE FROM second_factors WHERE user_id = ?", userId)
        try database.run("DELETE FROM recovery_codes WHERE user_id = ?", userId)
        // Sign-ins that used the second factor no longer count as strong.
        try database.run("UPDATE sign_ins SET strong = 0 WHERE user_id = ?", userId)
    }

    private static func takeCode(
        _ code: String, userId: String, now: Timestamp, in database: Transaction
    ) throws -> Bool {
        let stored = try database.first("SELECT seed, last_step FROM second_factors WHERE user_id = ?", userId) {
            (try $0.blob("seed"), Int64(try $0.integer("last_step")))
        }
        guard let (sealed, last) = stored else { return false }
        let seed = try Vault.open(sealed, at: place(userId), in: database.tenant(userId))
        guard let step = TOTP.step(of: code, seed: seed, now: now, after: last) else { return false }
        try database.run("UPDATE second_factors SET last_step = ? WHERE user_id = ?", step, userId)
        return true
    }

    /// 60 random bits and the account's id. A fast hash is enough because the number of guesses is limited.
    private static func digest(_ code: String, _ userId: String) -> [UInt8] {
        Digest.of("\(userId) \(code.lowercased())")
    }
}
