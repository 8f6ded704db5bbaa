-- Block types, schemas and documents. What refers to a document is never deleted with it.

CREATE TABLE block_type (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    slug TEXT NOT NULL UNIQUE,
    logo_url TEXT,
    documentation_url TEXT,
    description TEXT,
    code_example TEXT,
    is_protected BOOLEAN NOT NULL DEFAULT FALSE,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE block_schema (
    id TEXT PRIMARY KEY,
    checksum TEXT NOT NULL,
    fields TEXT NOT NULL,
    capabilities TEXT NOT NULL DEFAULT '[]',
    version TEXT NOT NULL,
    block_type_id TEXT NOT NULL REFERENCES block_type (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (checksum, version)
);

CREATE INDEX block_schema_by_type ON block_schema (block_type_id);

CREATE TABLE block_schema_reference (
    parent_block_schema_id TEXT NOT NULL REFERENCES block_schema (id) ON DELETE CASCADE,
    reference_block_schema_id TEXT NOT NULL REFERENCES block_schema (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (parent_block_schema_id, reference_block_schema_id, name)
);

CREATE TABLE block_document (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sealed_data TEXT NOT NULL, -- encrypted JSON with the id of its key
    is_anonymous BOOLEAN NOT NULL DEFAULT FALSE,
    block_type_id TEXT NOT NULL REFERENCES block_type (id) ON DELETE CASCADE,
    block_schema_id TEXT NOT NULL REFERENCES block_schema (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (block_type_id, name)
);

CREATE TABLE block_document_reference (
    parent_block_document_id TEXT NOT NULL REFERENCES block_document (id) ON DELETE CASCADE,
    reference_block_document_id TEXT NOT NULL REFERENCES block_document (id),
    name TEXT NOT NULL,
    PRIMARY KEY (parent_block_document_id, reference_block_document_id, name),
    CHECK (parent_block_document_id <> reference_block_document_id)
);

CREATE INDEX block_document_reference_to ON block_document_reference (reference_block_document_id);
CREATE INDEX block_document_by_schema ON block_document (block_schema_id);
CREATE INDEX block_schema_reference_to ON block_schema_reference (reference_block_schema_id);
