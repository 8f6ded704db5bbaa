"""Filters on block types, schemas and documents: what each condition is."""

from penstock.server.store.selection.conditions import (
    Part,
    Table,
    any_of,
    has_all_tags,
    like,
)

BLOCK_TYPE: Table = {
    "name.like_": like("block_type.name"),
    "slug.any_": any_of("block_type.slug"),
}

BLOCK_SCHEMA: Table = {
    "id.any_": any_of("block_schema.id"),
    "block_type_id.any_": any_of("block_schema.block_type_id"),
    "block_capabilities.all_": has_all_tags("block_schema.capabilities"),
    "version.any_": any_of("block_schema.version"),
}

BLOCK_DOCUMENT: Table = {
    "id.any_": any_of("block_document.id"),
    "name.any_": any_of("block_document.name"),
    "name.like_": like("block_document.name"),
    "block_type_id.any_": any_of("block_document.block_type_id"),
    "is_anonymous.eq_": lambda wanted, _: Part("block_document.is_anonymous = ?", (wanted,)),
}

WITH_TYPE = (
    "SELECT block_schema.*, block_type.name AS type_name, block_type.slug AS type_slug,"
    " block_type.logo_url AS type_logo_url, block_type.documentation_url AS type_documentation_url,"
    " block_type.description AS type_description, block_type.code_example AS type_code_example,"
    " block_type.is_protected AS type_is_protected, block_type.created AS type_created,"
    " block_type.updated AS type_updated"
    " FROM block_schema JOIN block_type ON block_type.id = block_schema.block_type_id"
)

WITH_SCHEMA_AND_TYPE = (
    "SELECT block_document.*, block_schema.checksum AS schema_checksum,"
    " block_schema.fields AS schema_fields, block_schema.capabilities AS schema_capabilities,"
    " block_schema.version AS schema_version, block_schema.created AS schema_created,"
    " block_schema.updated AS schema_updated, block_schema.block_type_id AS schema_block_type_id,"
    " block_type.name AS type_name, block_type.slug AS type_slug,"
    " block_type.logo_url AS type_logo_url, block_type.documentation_url AS type_documentation_url,"
    " block_type.description AS type_description, block_type.code_example AS type_code_example,"
    " block_type.is_protected AS type_is_protected, block_type.created AS type_created,"
    " block_type.updated AS type_updated"
    " FROM block_document"
    " JOIN block_schema ON block_schema.id = block_document.block_schema_id"
    " JOIN block_type ON block_type.id = block_document.block_type_id"
)
