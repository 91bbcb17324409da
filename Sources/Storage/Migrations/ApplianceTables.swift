import Database

extension Migration {
    /// Actions of an owner on the appliance, and seats that survive a restart.
    static let applianceTables = Migration(
        number: 2,
        script: """
            CREATE TABLE setup_links (
                digest BLOB PRIMARY KEY NOT NULL,
                expires_at INTEGER NOT NULL,
                used_at INTEGER
            ) STRICT;

            CREATE TABLE incidents (
                id TEXT PRIMARY KEY NOT NULL,
                text TEXT NOT NULL,
                started_at INTEGER NOT NULL,
                resolved_at INTEGER
            ) STRICT;
            CREATE INDEX incidents_by_start ON incidents (started_at);

            CREATE TABLE availability (
                day INTEGER PRIMARY KEY NOT NULL,
                ready_seconds INTEGER NOT NULL,
                degraded_seconds INTEGER NOT NULL
            ) STRICT;

            ALTER TABLE connections ADD COLUMN slot INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE connections ADD COLUMN public_key TEXT NOT NULL DEFAULT '';
            ALTER TABLE connections ADD COLUMN resume_digest BLOB;
            CREATE INDEX connections_by_session ON connections (session_id, slot);
            ALTER TABLE share_sessions ADD COLUMN last_slot INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE share_sessions ADD COLUMN host_peer_id TEXT;
            ALTER TABLE share_sessions ADD COLUMN host_resume_digest BLOB;
            """)
}
