-- name: block_type.lock
SELECT id FROM block_type WHERE id = :id FOR UPDATE;

-- name: block_schema.capabilities
SELECT DISTINCT item.value AS name
FROM block_schema, json_array_elements_text(block_schema.capabilities::json) AS item
ORDER BY 1;

-- name: block_document.lock
SELECT id FROM block_document WHERE id = :id FOR UPDATE;

-- name: block_document.lock_references
SELECT 1 AS held FROM pg_advisory_xact_lock(727001);

-- name: block_document.references
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
WHERE link.parent_block_document_id = ANY(ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY link.name, block_document.id;
