-- Named API tokens; the token itself is never stored.

CREATE TABLE api_token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL DEFAULT '[]',
    expires BIGINT,
    last_used BIGINT,
    revoked BIGINT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
