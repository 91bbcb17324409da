public import Database
public import Model

/// What an account shows beside its password: codes of an authenticator app, or one of ten codes kept for its loss.
public enum SecondFactor {
    /// As many as fit on a small paper.
    public static let recoveryCodeCount = 10

    private static func place(_ userId: String) -> Vault.Place {
        Vault.Place(table: "second_factors", row: userId, column: "seed")
    }

    public static func isOn(userId: String, in database: Transaction) throws -> Bool {
        try database.first(
            "SELECT 1 AS found FROM second_factors WHERE user_id = ? AND confirmed_at IS NOT NULL", userId
        ) { try $0.integer("found") } != nil
    }

    /// Makes a seed that counts once a code of it was shown; one that was never confirmed is replaced.
    /// - Throws: ``Refusal`` `.invalid` when there is one; ``StorageError``.
    public static func begin(userId: String, now: Timestamp, in database: Transaction) throws -> [UInt8] {
        guard try !isOn(userId: userId, in: database) else {
            throw Refusal(.notPossible, "There is a second factor already; turn it off first.")
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

    /// The seed that waits for its first code, to be shown once more.
    public static func pending(userId: String, in database: Transaction) throws -> [UInt8]? {
        let sealed = try database.first(
            "SELECT seed FROM second_factors WHERE user_id = ? AND confirmed_at IS NULL", userId
        ) { try $0.blob("seed") }
        return try sealed.map { try Vault.open($0, at: place(userId), in: database.tenant(userId)) }
    }

    /// Turns the second factor on with a first code.
    /// - Returns: the recovery codes, this once.
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

    /// Takes a code of the app or a recovery code; each works once.
    /// - Returns: whether it was one.
    public static func take(
        _ code: String, userId: String, now: Timestamp, in database: Transaction
    ) throws -> Bool {
        let plain = plain(code)
        if plain.count == 6, try takeCode(plain, userId: userId, now: now, in: database) { return true }
        return try database.run(
            "UPDATE recovery_codes SET used_at = ? WHERE digest = ? AND user_id = ? AND used_at IS NULL", now,
            digest(plain, userId), userId) > 0
    }

    /// As apps and phones write codes, `123 456` and `6u88-jqsd-7u82`, and as an input method for full-width letters does.
    private static func plain(_ code: String) -> String {
        FullWidth.narrowed(code).filter { !$0.isWhitespace && $0 != "-" }
    }

    /// Ten new codes in place of all older ones.
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
        // What was shown with it is shown no more.
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

    /// 60 random bits and the account's id: a fast hash is enough where guesses are counted.
    private static func digest(_ code: String, _ userId: String) -> [UInt8] {
        Digest.of("\(userId) \(code.lowercased())")
    }
}
