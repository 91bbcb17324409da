import Database

extension Migration {
    /// Users, their tokens, and the tables for sharing.
    ///
    /// The SQL is a subset that PostgreSQL also supports: text keys, integer milliseconds, no implicit types. `STRICT`
    /// is the only word another engine would not accept.
    static let firstTables = Migration(
        number: 1,
        script: """
            CREATE TABLE users (
                id TEXT PRIMARY KEY NOT NULL,
                username TEXT NOT NULL UNIQUE,
                email TEXT,
                plan TEXT NOT NULL,
                is_admin INTEGER NOT NULL,
                created_at INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE api_tokens (
                id TEXT PRIMARY KEY NOT NULL,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                name TEXT NOT NULL,
                digest BLOB NOT NULL UNIQUE,
                created_at INTEGER NOT NULL,
                revoked_at INTEGER
            ) STRICT;
            CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

            CREATE TABLE share_sessions (
                id TEXT PRIMARY KEY NOT NULL,
                host_user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                host_public_key TEXT NOT NULL,
                session_name TEXT,
                started_at INTEGER NOT NULL,
                ended_at INTEGER,
                end_reason TEXT
            ) STRICT;
            CREATE INDEX share_sessions_active ON share_sessions (host_user_id) WHERE ended_at IS NULL;

            CREATE TABLE share_codes (
                code TEXT PRIMARY KEY NOT NULL,
                session_id TEXT NOT NULL REFERENCES share_sessions (id) ON DELETE CASCADE,
                permission TEXT NOT NULL,
                max_uses INTEGER,
                current_uses INTEGER NOT NULL,
                expires_at INTEGER,
                revoked_at INTEGER,
                created_at INTEGER NOT NULL
            ) STRICT;
            CREATE INDEX share_codes_by_session ON share_codes (session_id);

            CREATE TABLE connections (
                id TEXT PRIMARY KEY NOT NULL,
                session_id TEXT NOT NULL REFERENCES share_sessions (id) ON DELETE CASCADE,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                code TEXT NOT NULL,
                permission TEXT NOT NULL,
                joined_at INTEGER NOT NULL,
                left_at INTEGER
            ) STRICT;
            CREATE INDEX connections_live ON connections (session_id) WHERE left_at IS NULL;
            """)
}
