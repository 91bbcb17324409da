import Database

extension Migration {
    /// Guests without an account: a seat need not belong to an account, and an organisation decides whether its shares accept such guests.
    ///
    /// SQLite cannot drop NOT NULL from a column, so the table is created again
    /// (https://www.sqlite.org/lang_altertable.html, section 7). No other table refers to it.
    static let guestsWithoutAccount = Migration(
        number: 5,
        script: """
            CREATE TABLE new_connections (
                id TEXT PRIMARY KEY NOT NULL,
                session_id TEXT NOT NULL REFERENCES share_sessions (id) ON DELETE CASCADE,
                user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
                code TEXT NOT NULL,
                permission TEXT NOT NULL,
                joined_at INTEGER NOT NULL,
                left_at INTEGER,
                slot INTEGER NOT NULL DEFAULT 0,
                public_key TEXT NOT NULL DEFAULT '',
                resume_digest BLOB,
                organisation_id TEXT REFERENCES organisations (id) ON DELETE CASCADE,
                credential_id TEXT,
                metered_until INTEGER
            ) STRICT;
            INSERT INTO new_connections (id, session_id, user_id, code, permission, joined_at, left_at, slot, public_key,
                    resume_digest, organisation_id, credential_id, metered_until)
                SELECT id, session_id, user_id, code, permission, joined_at, left_at, slot, public_key, resume_digest,
                    organisation_id, credential_id, metered_until FROM connections;
            DROP TABLE connections;
            ALTER TABLE new_connections RENAME TO connections;
            CREATE INDEX connections_live ON connections (session_id) WHERE left_at IS NULL;
            CREATE INDEX connections_by_organisation ON connections (organisation_id) WHERE left_at IS NULL;
            CREATE INDEX connections_by_session ON connections (session_id, slot);

            ALTER TABLE organisations ADD COLUMN guests_without_account INTEGER NOT NULL DEFAULT 1;
            """)
}
