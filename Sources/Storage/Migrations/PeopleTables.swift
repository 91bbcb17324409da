import Database

extension Migration {
    /// Organisations that own all data, how people sign in, their usage, and the audit log.
    ///
    /// Each existing account gets its personal organisation, with the same id and with the account's plan.
    static let peopleTables = Migration(
        number: 3,
        script: """
            ALTER TABLE users ADD COLUMN email_verified_at INTEGER;
            ALTER TABLE users ADD COLUMN disabled_at INTEGER;
            CREATE UNIQUE INDEX users_by_email ON users (email) WHERE email_verified_at IS NOT NULL;

            CREATE TABLE organisations (
                id TEXT PRIMARY KEY NOT NULL,
                name TEXT NOT NULL,
                personal_of TEXT UNIQUE REFERENCES users (id) ON DELETE CASCADE,
                plan TEXT NOT NULL,
                requires_second_factor INTEGER NOT NULL DEFAULT 0,
                created_at INTEGER NOT NULL,
                delete_after INTEGER
            ) STRICT;
            INSERT INTO organisations (id, name, personal_of, plan, created_at)
                SELECT id, username, id, plan, created_at FROM users;

            CREATE TABLE memberships (
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                role TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                PRIMARY KEY (organisation_id, user_id)
            ) STRICT;
            CREATE INDEX memberships_by_user ON memberships (user_id);
            INSERT INTO memberships (organisation_id, user_id, role, created_at)
                SELECT id, id, 'owner', created_at FROM users;
            ALTER TABLE users DROP COLUMN plan;

            CREATE TABLE roles (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                name TEXT NOT NULL,
                permissions TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                UNIQUE (organisation_id, name)
            ) STRICT;

            CREATE TABLE invitations (
                id TEXT PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                digest BLOB NOT NULL UNIQUE,
                email TEXT,
                role TEXT NOT NULL,
                invited_by TEXT NOT NULL,
                created_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                accepted_at INTEGER,
                accepted_by TEXT,
                revoked_at INTEGER
            ) STRICT;
            CREATE INDEX invitations_by_organisation ON invitations (organisation_id, created_at);

            CREATE TABLE passwords (
                user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                hash TEXT NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE second_factors (
                user_id TEXT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                seed BLOB NOT NULL,
                created_at INTEGER NOT NULL,
                confirmed_at INTEGER,
                last_step INTEGER NOT NULL DEFAULT 0
            ) STRICT;

            CREATE TABLE recovery_codes (
                digest BLOB PRIMARY KEY NOT NULL,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                used_at INTEGER
            ) STRICT;
            CREATE INDEX recovery_codes_by_user ON recovery_codes (user_id);

            CREATE TABLE identities (
                provider TEXT NOT NULL,
                subject TEXT NOT NULL,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                email TEXT,
                created_at INTEGER NOT NULL,
                PRIMARY KEY (provider, subject)
            ) STRICT;
            CREATE INDEX identities_by_user ON identities (user_id);

            CREATE TABLE sign_ins (
                id TEXT PRIMARY KEY NOT NULL,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                kind TEXT NOT NULL,
                client TEXT NOT NULL,
                address TEXT NOT NULL,
                digest BLOB UNIQUE,
                strong INTEGER NOT NULL,
                created_at INTEGER NOT NULL,
                last_seen_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                ended_at INTEGER,
                end_reason TEXT
            ) STRICT;
            CREATE INDEX sign_ins_by_user ON sign_ins (user_id, ended_at);

            CREATE TABLE refresh_tokens (
                digest BLOB PRIMARY KEY NOT NULL,
                sign_in_id TEXT NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
                created_at INTEGER NOT NULL,
                used_at INTEGER
            ) STRICT;
            CREATE INDEX refresh_tokens_by_sign_in ON refresh_tokens (sign_in_id);

            CREATE TABLE one_time_links (
                digest BLOB PRIMARY KEY NOT NULL,
                purpose TEXT NOT NULL,
                user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
                email TEXT,
                created_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                used_at INTEGER
            ) STRICT;
            CREATE INDEX one_time_links_by_user ON one_time_links (user_id);

            ALTER TABLE api_tokens ADD COLUMN organisation_id TEXT REFERENCES organisations (id) ON DELETE CASCADE;
            UPDATE api_tokens SET organisation_id = user_id;
            ALTER TABLE api_tokens ADD COLUMN scopes TEXT;
            ALTER TABLE api_tokens ADD COLUMN strong INTEGER NOT NULL DEFAULT 1;
            ALTER TABLE api_tokens ADD COLUMN expires_at INTEGER;
            ALTER TABLE api_tokens ADD COLUMN last_used_at INTEGER;

            CREATE TABLE revocations (
                number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
                user_id TEXT,
                credential_id TEXT,
                organisation_id TEXT,
                at INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE signing_keys (
                id TEXT PRIMARY KEY NOT NULL,
                secret BLOB NOT NULL,
                created_at INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE data_keys (
                organisation_id TEXT PRIMARY KEY NOT NULL,
                master TEXT NOT NULL,
                wrapped BLOB NOT NULL,
                created_at INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE secrets (
                name TEXT PRIMARY KEY NOT NULL,
                sealed BLOB NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT;

            ALTER TABLE share_sessions ADD COLUMN organisation_id TEXT REFERENCES organisations (id) ON DELETE CASCADE;
            UPDATE share_sessions SET organisation_id = host_user_id;
            ALTER TABLE share_sessions ADD COLUMN ends_at INTEGER;
            ALTER TABLE share_codes ADD COLUMN organisation_id TEXT REFERENCES organisations (id) ON DELETE CASCADE;
            UPDATE share_codes SET organisation_id =
                (SELECT organisation_id FROM share_sessions WHERE share_sessions.id = session_id);
            ALTER TABLE connections ADD COLUMN organisation_id TEXT REFERENCES organisations (id) ON DELETE CASCADE;
            UPDATE connections SET organisation_id =
                (SELECT organisation_id FROM share_sessions WHERE share_sessions.id = session_id);
            ALTER TABLE share_sessions ADD COLUMN host_credential_id TEXT;
            ALTER TABLE connections ADD COLUMN credential_id TEXT;
            ALTER TABLE share_sessions ADD COLUMN metered_until INTEGER;
            UPDATE share_sessions SET metered_until = started_at WHERE ended_at IS NULL;
            ALTER TABLE share_sessions ADD COLUMN bytes_relayed INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE connections ADD COLUMN metered_until INTEGER;
            UPDATE connections SET metered_until = joined_at WHERE left_at IS NULL;
            CREATE INDEX connections_by_organisation ON connections (organisation_id) WHERE left_at IS NULL;
            DROP INDEX share_sessions_active;
            CREATE INDEX share_sessions_active ON share_sessions (organisation_id, host_user_id) WHERE ended_at IS NULL;
            CREATE INDEX share_sessions_by_host ON share_sessions (host_user_id) WHERE ended_at IS NULL;

            CREATE TABLE usage_entries (
                number INTEGER PRIMARY KEY NOT NULL,
                organisation_id TEXT NOT NULL,
                hour INTEGER NOT NULL,
                unit TEXT NOT NULL,
                amount INTEGER NOT NULL,
                recorded_at INTEGER NOT NULL
            ) STRICT;
            CREATE INDEX usage_entries_by_hour ON usage_entries (organisation_id, hour, unit);
            CREATE TRIGGER usage_entries_are_not_changed BEFORE UPDATE ON usage_entries
                BEGIN SELECT RAISE(ABORT, 'the usage ledger is append-only'); END;
            CREATE TRIGGER usage_entries_are_not_removed BEFORE DELETE ON usage_entries
                BEGIN SELECT RAISE(ABORT, 'the usage ledger is append-only'); END;

            CREATE TABLE audit_events (
                organisation_id TEXT NOT NULL,
                number INTEGER NOT NULL,
                at INTEGER NOT NULL,
                actor_id TEXT NOT NULL,
                actor_name TEXT NOT NULL,
                action TEXT NOT NULL,
                target TEXT NOT NULL,
                address TEXT NOT NULL,
                credential TEXT NOT NULL,
                result TEXT NOT NULL,
                detail TEXT NOT NULL,
                digest BLOB NOT NULL,
                PRIMARY KEY (organisation_id, number)
            ) STRICT;
            CREATE INDEX audit_anchors ON audit_events (target, number) WHERE action = 'audit.anchored';
            CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events
                BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
            CREATE TRIGGER audit_events_are_not_removed BEFORE DELETE ON audit_events
                BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

            CREATE TABLE audit_chains (
                organisation_id TEXT PRIMARY KEY NOT NULL,
                number INTEGER NOT NULL,
                digest BLOB NOT NULL,
                at INTEGER NOT NULL,
                signature BLOB NOT NULL
            ) STRICT;
            """)
}
