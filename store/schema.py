"""The statements of each schema, a blank line between two; `store/migrations.py` applies them in order."""

FIRST = """
CREATE TABLE meta (              -- scale_low, scale_high, scale_step, scale_stated, revision, next_version
    key TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE users (
    id INTEGER PRIMARY KEY,      -- dense, inside only
    user TEXT NOT NULL UNIQUE,   -- the operator's id, exactly as written
    revision INTEGER NOT NULL DEFAULT 0  -- meta.revision when this user's ratings last changed
);

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    item TEXT NOT NULL UNIQUE,
    title TEXT,
    year INTEGER
);

CREATE TABLE genres (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

CREATE TABLE item_genres (
    item INTEGER NOT NULL REFERENCES items (id),
    genre INTEGER NOT NULL REFERENCES genres (id),
    PRIMARY KEY (item, genre)
) WITHOUT ROWID;

CREATE TABLE ratings (           -- clustered by user: a history is one range, training reads in order
    user INTEGER NOT NULL,
    item INTEGER NOT NULL,
    rating REAL NOT NULL,
    at INTEGER,                  -- seconds since 1970 UTC, NULL where the source has none
    import INTEGER,              -- entered by `rate`: minus meta.revision of then (NULL by versions before 0.2)
    PRIMARY KEY (user, item)
) WITHOUT ROWID;

CREATE TABLE imports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    format TEXT NOT NULL,
    options TEXT NOT NULL,       -- JSON: mapping, scale, duplicates policy
    state TEXT NOT NULL,         -- running | done | failed
    started_at REAL NOT NULL,
    finished_at REAL,
    read INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    reasons TEXT NOT NULL DEFAULT '{}',
    error TEXT
);

CREATE TABLE quarantine (
    import INTEGER NOT NULL REFERENCES imports (id),
    line INTEGER NOT NULL,
    reason TEXT NOT NULL,
    raw TEXT NOT NULL,           -- the row as read, cut at 2,000 characters
    source TEXT NOT NULL DEFAULT ''  -- the file inside a folder or archive
);

CREATE INDEX quarantine_by_import ON quarantine (import, line);

CREATE TABLE replaced (          -- what an import overwrote, so that it can be undone
    import INTEGER NOT NULL,
    user INTEGER NOT NULL,
    item INTEGER NOT NULL,
    rating REAL NOT NULL,
    at INTEGER,
    previous_import INTEGER,
    PRIMARY KEY (import, user, item)
) WITHOUT ROWID;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,          -- train
    model TEXT NOT NULL,
    request TEXT NOT NULL,       -- JSON: everything needed to run it again
    origin TEXT NOT NULL,        -- cli | tui | cron
    state TEXT NOT NULL,         -- queued | running | done | failed | cancelled | lost
    pid INTEGER,
    started_ticks REAL,          -- the process's own start time, so that a reused pid is not mistaken for it
    created_at REAL NOT NULL,
    started_at REAL,
    heartbeat_at REAL,
    finished_at REAL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    exit_code INTEGER,
    code TEXT,                   -- kind of error: usage, data_refused, training_failed, …
    error TEXT,
    hint TEXT,
    version INTEGER
);

CREATE TABLE events (
    job INTEGER NOT NULL REFERENCES jobs (id),
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,          -- stage | epoch | note
    data TEXT NOT NULL,          -- JSON
    PRIMARY KEY (job, seq)
) WITHOUT ROWID;

CREATE TABLE versions (
    id INTEGER PRIMARY KEY,      -- 7 is shown as v7
    model_type TEXT NOT NULL,
    state TEXT NOT NULL,         -- candidate | active | retired
    trained_at REAL NOT NULL,
    job INTEGER,
    parent INTEGER,
    label TEXT NOT NULL DEFAULT '',
    hyperparameters TEXT NOT NULL,
    training_data TEXT NOT NULL, -- JSON: n_users, n_movies, n_ratings, revision, fingerprint
    protocol TEXT NOT NULL,      -- JSON: split, test, seed, full
    lineage TEXT NOT NULL,       -- JSON: program and package versions, host, seconds, peak memory
    files TEXT NOT NULL          -- JSON: name -> {sha256, bytes}
);

CREATE UNIQUE INDEX one_active ON versions (state) WHERE state = 'active';

CREATE TABLE metrics (
    version INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    users INTEGER,
    PRIMARY KEY (version, name)
) WITHOUT ROWID;

CREATE TABLE activations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    previous INTEGER,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,        -- activate | rollback
    why TEXT NOT NULL DEFAULT ''
);

CREATE TABLE live_vectors (      -- user vectors folded in after training
    version INTEGER NOT NULL REFERENCES versions (id) ON DELETE CASCADE,
    user INTEGER NOT NULL,
    revision INTEGER NOT NULL,   -- users.revision that the vector includes
    vector BLOB NOT NULL,        -- float32, little-endian
    PRIMARY KEY (version, user)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE item_titles USING fts5 (title, content = 'items', content_rowid = 'id', tokenize = 'trigram');

CREATE TRIGGER items_insert AFTER INSERT ON items WHEN new.title IS NOT NULL BEGIN
    INSERT INTO item_titles (rowid, title) VALUES (new.id, new.title); END;

CREATE TRIGGER items_delete AFTER DELETE ON items WHEN old.title IS NOT NULL BEGIN
    INSERT INTO item_titles (item_titles, rowid, title) VALUES ('delete', old.id, old.title); END;

CREATE TRIGGER items_update AFTER UPDATE OF title ON items BEGIN
    INSERT INTO item_titles (item_titles, rowid, title) SELECT 'delete', old.id, old.title WHERE old.title IS NOT NULL;
    INSERT INTO item_titles (rowid, title) SELECT new.id, new.title WHERE new.title IS NOT NULL; END;

INSERT INTO meta (key, value) VALUES ('revision', 0), ('next_version', 1)
"""

SECOND = """
-- every change of a version, not of the active one alone
ALTER TABLE activations RENAME TO audit

-- JSON: what the decision rests on
ALTER TABLE audit ADD COLUMN figures TEXT NOT NULL DEFAULT '{}'

CREATE INDEX audit_by_version ON audit (version)

-- JSON: name -> sha256 of its model.safetensors
ALTER TABLE versions ADD COLUMN members TEXT NOT NULL DEFAULT '{}'

CREATE TABLE canaries (          -- versions tried on a share of the users; at most one runs
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL,
    base INTEGER NOT NULL,       -- the version that serves the others
    share REAL NOT NULL,         -- of the users, above 0 and below 1
    guards TEXT NOT NULL,        -- JSON: texts such as "rmse:+1%"
    revision INTEGER NOT NULL,   -- meta.revision when it began: later ratings are its evidence
    began_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT                 -- NULL while it runs, then promoted | replaced | stopped | rolled back
)

CREATE UNIQUE INDEX one_canary ON canaries (ended_at IS NULL) WHERE ended_at IS NULL

-- JSON: ids, revision and scale before and after
ALTER TABLE imports ADD COLUMN footprint TEXT NOT NULL DEFAULT '{}'

-- whose row it is, where that could be read
ALTER TABLE quarantine ADD COLUMN user TEXT

CREATE TABLE replaced_items (    -- what an import changed in the catalogue, so that it can be undone
    import INTEGER NOT NULL,
    item INTEGER NOT NULL,
    created INTEGER NOT NULL,    -- 1: the import brought the item
    title TEXT,                  -- before
    year INTEGER,
    genres TEXT NOT NULL,        -- JSON: names
    PRIMARY KEY (import, item)
) WITHOUT ROWID

CREATE TABLE offered (           -- rows of imports that changed nothing: undoing an earlier import leaves them to these
    import INTEGER NOT NULL,
    first_user INTEGER NOT NULL,
    last_user INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    data BLOB NOT NULL           -- see store/offers.py
)

CREATE INDEX offered_by_import ON offered (import)
"""
