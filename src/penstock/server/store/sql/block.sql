-- Block types, schemas and documents. Rows of schemas and documents carry what they belong to.

-- name: block_type.get
SELECT * FROM block_type WHERE id = :id;

-- name: block_type.get_by_slug
SELECT * FROM block_type WHERE slug = :slug;

-- name: block_type.lock
-- Nobody makes a schema or document of the type from here to the end of the transaction.
SELECT id FROM block_type WHERE id = :id;

-- name: block_type.insert
INSERT INTO block_type (
    id, name, slug, logo_url, documentation_url, description, code_example, is_protected, created,
    updated
) VALUES (
    :id, :name, :slug, :logo_url, :documentation_url, :description, :code_example, :is_protected,
    :now, :now
) ON CONFLICT DO NOTHING;

-- name: block_type.install
INSERT INTO block_type (
    id, name, slug, logo_url, documentation_url, description, code_example, is_protected, created,
    updated
) VALUES (
    :id, :name, :slug, :logo_url, :documentation_url, :description, :code_example, :is_protected,
    :now, :now
) ON CONFLICT (slug) DO UPDATE SET
    name = excluded.name, logo_url = excluded.logo_url,
    documentation_url = excluded.documentation_url, description = excluded.description,
    code_example = excluded.code_example, is_protected = excluded.is_protected,
    updated = excluded.updated;

-- name: block_type.update
UPDATE block_type SET
    logo_url = :logo_url, documentation_url = :documentation_url, description = :description,
    code_example = :code_example, updated = :now
WHERE id = :id;

-- name: block_type.delete
DELETE FROM block_type WHERE id = :id;

-- name: block_type.schemas
SELECT block_schema.*, block_type.name AS type_name, block_type.slug AS type_slug,
    block_type.logo_url AS type_logo_url, block_type.documentation_url AS
    type_documentation_url, block_type.description AS type_description, block_type.code_example
    AS type_code_example, block_type.is_protected AS type_is_protected, block_type.created AS
    type_created, block_type.updated AS type_updated
FROM block_schema
JOIN block_type ON block_type.id = block_schema.block_type_id
WHERE block_schema.block_type_id = :id
ORDER BY block_schema.id;

-- name: block_type.some_documents
SELECT block_document.*, block_schema.checksum AS schema_checksum, block_schema.fields AS
    schema_fields, block_schema.capabilities AS schema_capabilities, block_schema.version AS
    schema_version, block_schema.created AS schema_created, block_schema.updated AS
    schema_updated, block_schema.block_type_id AS schema_block_type_id, block_type.name AS
    type_name, block_type.slug AS type_slug, block_type.logo_url AS type_logo_url,
    block_type.documentation_url AS type_documentation_url, block_type.description AS
    type_description, block_type.code_example AS type_code_example, block_type.is_protected AS
    type_is_protected, block_type.created AS type_created, block_type.updated AS type_updated
FROM block_document
JOIN block_schema ON block_schema.id = block_document.block_schema_id
JOIN block_type ON block_type.id = block_document.block_type_id
WHERE block_document.block_type_id = :id
ORDER BY block_document.id
LIMIT :limit;

-- name: block_type.drop_references
-- References among and from the documents of a type.
DELETE FROM block_document_reference WHERE parent_block_document_id IN (
    SELECT id FROM block_document WHERE block_type_id = :id
);

-- name: block_schema.get
SELECT block_schema.*, block_type.name AS type_name, block_type.slug AS type_slug,
    block_type.logo_url AS type_logo_url, block_type.documentation_url AS
    type_documentation_url, block_type.description AS type_description, block_type.code_example
    AS type_code_example, block_type.is_protected AS type_is_protected, block_type.created AS
    type_created, block_type.updated AS type_updated
FROM block_schema
JOIN block_type ON block_type.id = block_schema.block_type_id
WHERE block_schema.id = :id;

-- name: block_schema.get_by_checksum
SELECT block_schema.*, block_type.name AS type_name, block_type.slug AS type_slug,
    block_type.logo_url AS type_logo_url, block_type.documentation_url AS
    type_documentation_url, block_type.description AS type_description, block_type.code_example
    AS type_code_example, block_type.is_protected AS type_is_protected, block_type.created AS
    type_created, block_type.updated AS type_updated
FROM block_schema
JOIN block_type ON block_type.id = block_schema.block_type_id
WHERE block_schema.checksum = :checksum
    AND block_schema.version = :version;

-- name: block_schema.latest_by_checksum
SELECT block_schema.*, block_type.name AS type_name, block_type.slug AS type_slug,
    block_type.logo_url AS type_logo_url, block_type.documentation_url AS
    type_documentation_url, block_type.description AS type_description, block_type.code_example
    AS type_code_example, block_type.is_protected AS type_is_protected, block_type.created AS
    type_created, block_type.updated AS type_updated
FROM block_schema
JOIN block_type ON block_type.id = block_schema.block_type_id
WHERE block_schema.checksum = :checksum
ORDER BY block_schema.created DESC, block_schema.id DESC
LIMIT 1;

-- name: block_schema.find_nested
SELECT t.id AS block_type_id, (
    SELECT s.id FROM block_schema AS s
    WHERE s.block_type_id = t.id AND s.checksum = :checksum
    ORDER BY s.created DESC, s.id DESC
    LIMIT 1
) AS block_schema_id
FROM block_type AS t WHERE t.slug = :slug;

-- name: block_schema.insert
INSERT INTO block_schema (
    id, checksum, fields, capabilities, version, block_type_id, created, updated
) VALUES (:id, :checksum, :fields, :capabilities, :version, :block_type_id, :now, :now)
ON CONFLICT DO NOTHING;

-- name: block_schema.install
INSERT INTO block_schema (
    id, checksum, fields, capabilities, version, block_type_id, created, updated
)
SELECT :id, :checksum, :fields, :capabilities, :version, t.id, CAST(:now AS BIGINT),
    CAST(:now AS BIGINT)
FROM block_type AS t WHERE t.slug = :slug
ON CONFLICT DO NOTHING;

-- name: block_schema.refer
INSERT INTO block_schema_reference (
    parent_block_schema_id, reference_block_schema_id, name
) VALUES (:parent, :reference, :name)
ON CONFLICT DO NOTHING;

-- name: block_schema.users
-- Documents of the schema, and schemas that take it as a nested block.
SELECT 'block document' AS kind, t.slug || '/' || d.name AS name
FROM block_document AS d JOIN block_type AS t ON t.id = d.block_type_id
WHERE d.block_schema_id = :id
UNION ALL
SELECT 'block schema', s.id
FROM block_schema_reference AS r JOIN block_schema AS s ON s.id = r.parent_block_schema_id
WHERE r.reference_block_schema_id = :id AND r.parent_block_schema_id <> :id
LIMIT :limit;

-- name: block_schema.delete
DELETE FROM block_schema WHERE id = :id;

-- name: block_schema.capabilities
SELECT DISTINCT item.value AS name
FROM block_schema, json_each(block_schema.capabilities) AS item
ORDER BY 1;

-- name: block_document.get
SELECT block_document.*, block_schema.checksum AS schema_checksum, block_schema.fields AS
    schema_fields, block_schema.capabilities AS schema_capabilities, block_schema.version AS
    schema_version, block_schema.created AS schema_created, block_schema.updated AS
    schema_updated, block_schema.block_type_id AS schema_block_type_id, block_type.name AS
    type_name, block_type.slug AS type_slug, block_type.logo_url AS type_logo_url,
    block_type.documentation_url AS type_documentation_url, block_type.description AS
    type_description, block_type.code_example AS type_code_example, block_type.is_protected AS
    type_is_protected, block_type.created AS type_created, block_type.updated AS type_updated
FROM block_document
JOIN block_schema ON block_schema.id = block_document.block_schema_id
JOIN block_type ON block_type.id = block_document.block_type_id
WHERE block_document.id = :id;

-- name: block_document.get_by_name
SELECT block_document.*, block_schema.checksum AS schema_checksum, block_schema.fields AS
    schema_fields, block_schema.capabilities AS schema_capabilities, block_schema.version AS
    schema_version, block_schema.created AS schema_created, block_schema.updated AS
    schema_updated, block_schema.block_type_id AS schema_block_type_id, block_type.name AS
    type_name, block_type.slug AS type_slug, block_type.logo_url AS type_logo_url,
    block_type.documentation_url AS type_documentation_url, block_type.description AS
    type_description, block_type.code_example AS type_code_example, block_type.is_protected AS
    type_is_protected, block_type.created AS type_created, block_type.updated AS type_updated
FROM block_document
JOIN block_schema ON block_schema.id = block_document.block_schema_id
JOIN block_type ON block_type.id = block_document.block_type_id
WHERE block_type.slug = :slug
    AND block_document.name = :name;

-- name: block_document.lock
-- The document stays as it is, and nothing begins to refer to it, until the transaction ends.
SELECT id FROM block_document WHERE id = :id;

-- name: block_document.lock_references
-- One transaction at a time changes what documents refer to; SQLite has one writer anyway.
SELECT 1 AS held;

-- name: block_document.references
-- What some documents refer to, each with the name of the member it stands for.
SELECT link.parent_block_document_id AS parent_id, link.name AS reference_name,
    block_document.*, block_schema.checksum AS schema_checksum, block_schema.fields AS
    schema_fields, block_schema.capabilities AS schema_capabilities, block_schema.version AS
    schema_version, block_schema.created AS schema_created, block_schema.updated AS
    schema_updated, block_schema.block_type_id AS schema_block_type_id, block_type.name AS
    type_name, block_type.slug AS type_slug, block_type.logo_url AS type_logo_url,
    block_type.documentation_url AS type_documentation_url, block_type.description AS
    type_description, block_type.code_example AS type_code_example, block_type.is_protected AS
    type_is_protected, block_type.created AS type_created, block_type.updated AS type_updated
FROM block_document_reference AS link
JOIN block_document ON block_document.id = link.reference_block_document_id
JOIN block_schema ON block_schema.id = block_document.block_schema_id
JOIN block_type ON block_type.id = block_document.block_type_id
WHERE link.parent_block_document_id IN (SELECT value FROM json_each(:ids))
ORDER BY link.name, block_document.id;

-- name: block_document.insert
INSERT INTO block_document (
    id, name, sealed_data, is_anonymous, block_type_id, block_schema_id, created, updated
) VALUES (
    :id, :name, :sealed_data, :is_anonymous, :block_type_id, :block_schema_id, :now, :now
) ON CONFLICT DO NOTHING;

-- name: block_document.update
UPDATE block_document SET
    sealed_data = :sealed_data, block_schema_id = :block_schema_id, updated = :now
WHERE id = :id;

-- name: block_document.delete
DELETE FROM block_document WHERE id = :id;

-- name: block_document.refer
INSERT INTO block_document_reference (
    parent_block_document_id, reference_block_document_id, name
) VALUES (:parent, :reference, :name);

-- name: block_document.drop_references
DELETE FROM block_document_reference WHERE parent_block_document_id = :id;

-- name: block_document.users
-- Who refers to a document, or to any of a type's from outside of the type.
SELECT 'block document' AS kind, t.slug || '/' || parent.name AS name
FROM block_document_reference AS r
JOIN block_document AS used ON used.id = r.reference_block_document_id
JOIN block_document AS parent ON parent.id = r.parent_block_document_id
JOIN block_type AS t ON t.id = parent.block_type_id
WHERE (used.id = :id OR used.block_type_id = :type_id) AND parent.block_type_id <> :type_id
UNION ALL
SELECT 'deployment', f.name || '/' || d.name
FROM deployment AS d
JOIN flow AS f ON f.id = d.flow_id
JOIN block_document AS used
    ON used.id = d.storage_document_id OR used.id = d.infrastructure_document_id
WHERE used.id = :id OR used.block_type_id = :type_id
UNION ALL
SELECT 'work pool', p.name
FROM work_pool AS p
JOIN block_document AS used ON p.storage_configuration LIKE '%' || used.id || '%'
WHERE used.id = :id OR used.block_type_id = :type_id
UNION ALL
SELECT 'server setting', 'default result storage'
FROM configuration AS c
JOIN block_document AS used ON c.value LIKE '%' || used.id || '%'
WHERE c.key = 'default_result_storage' AND (used.id = :id OR used.block_type_id = :type_id)
UNION ALL
SELECT 'automation', a.name
FROM automation AS a
JOIN block_document AS used ON a.definition LIKE '%' || used.id || '%'
WHERE used.id = :id OR used.block_type_id = :type_id
LIMIT :limit;
