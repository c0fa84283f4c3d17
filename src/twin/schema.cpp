#include "twin/schema.h"

namespace penstock::twin {
namespace {

constexpr store::Migration kMigrations[] = {
    {1, "organisations, sites, models, twins, series, devices", R"sql(
CREATE TABLE organisation (
  id            BIGINT NOT NULL PRIMARY KEY,
  name          TEXT NOT NULL UNIQUE,
  display_name  TEXT NOT NULL,
  created_at    BIGINT NOT NULL);

CREATE TABLE site (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  id              BIGINT NOT NULL PRIMARY KEY,
  name            TEXT NOT NULL,
  display_name    TEXT NOT NULL,
  time_zone       TEXT NOT NULL,
  description     TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  UNIQUE (organisation_id, name));

CREATE TABLE model (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  dtmi            TEXT NOT NULL,
  document        TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  PRIMARY KEY (organisation_id, dtmi));

CREATE TABLE twin (
  organisation_id BIGINT NOT NULL,
  id              BIGINT NOT NULL PRIMARY KEY,
  site_id         BIGINT NOT NULL REFERENCES site (id),
  name            TEXT NOT NULL,
  display_name    TEXT NOT NULL,
  model           TEXT NOT NULL,
  parent_id       BIGINT REFERENCES twin (id),
  labels          TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  updated_at      BIGINT NOT NULL,
  UNIQUE (organisation_id, name),
  FOREIGN KEY (organisation_id, model) REFERENCES model (organisation_id, dtmi));
CREATE INDEX twin_by_site ON twin (site_id);
CREATE INDEX twin_by_parent ON twin (parent_id);
CREATE INDEX twin_by_model ON twin (organisation_id, model);

CREATE TABLE relationship (
  organisation_id BIGINT NOT NULL,
  source_id       BIGINT NOT NULL REFERENCES twin (id) ON DELETE CASCADE,
  name            TEXT NOT NULL,
  target_id       BIGINT NOT NULL REFERENCES twin (id) ON DELETE CASCADE,
  position        INTEGER NOT NULL,
  PRIMARY KEY (source_id, name, target_id));
CREATE INDEX relationship_by_target ON relationship (target_id);

-- Outlives its twin: history keeps the number, so the number keeps its meaning.
CREATE TABLE series (
  organisation_id BIGINT NOT NULL,
  id              BIGINT NOT NULL PRIMARY KEY,
  twin_id         BIGINT NOT NULL,
  twin_name       TEXT NOT NULL,
  site_id         BIGINT NOT NULL,
  element         TEXT NOT NULL,
  kind            INTEGER NOT NULL,
  unit            TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  retired_at      BIGINT,
  UNIQUE (twin_id, element, kind, unit));

CREATE TABLE device (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  name            TEXT NOT NULL PRIMARY KEY,
  twin_id         BIGINT UNIQUE REFERENCES twin (id),
  enabled         INTEGER NOT NULL,
  stale_after_ms  BIGINT NOT NULL,
  bindings        TEXT NOT NULL,
  grants          TEXT NOT NULL,
  created_at      BIGINT NOT NULL);

-- secret: SHA-256 of a token in hexadecimal, or an Argon2id string of a password.
CREATE TABLE device_credential (
  organisation_id BIGINT NOT NULL,
  device          TEXT NOT NULL PRIMARY KEY REFERENCES device (name) ON DELETE CASCADE,
  kind            INTEGER NOT NULL,
  secret          TEXT NOT NULL UNIQUE,
  created_at      BIGINT NOT NULL);

CREATE TABLE join_token (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  id              BIGINT NOT NULL PRIMARY KEY,
  site_id         BIGINT NOT NULL REFERENCES site (id) ON DELETE CASCADE,
  name            TEXT NOT NULL,
  secret          TEXT NOT NULL UNIQUE,
  created_at      BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL)
)sql"},
    {2, "how a device speaks, and its binding document", R"sql(
ALTER TABLE device ADD COLUMN protocol TEXT NOT NULL DEFAULT 'mqtt';
ALTER TABLE device ADD COLUMN binding TEXT NOT NULL DEFAULT ''
)sql"},
    {3, "binding documents", R"sql(
CREATE TABLE binding (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  name            TEXT NOT NULL,
  active_version  BIGINT NOT NULL,
  PRIMARY KEY (organisation_id, name));

CREATE TABLE binding_version (
  organisation_id BIGINT NOT NULL,
  name            TEXT NOT NULL,
  version         BIGINT NOT NULL,
  document        TEXT NOT NULL,
  note            TEXT NOT NULL,
  saved_by        TEXT NOT NULL,
  saved_at        BIGINT NOT NULL,
  activated_at    BIGINT NOT NULL,
  activated_by    TEXT NOT NULL,
  PRIMARY KEY (organisation_id, name, version),
  FOREIGN KEY (organisation_id, name) REFERENCES binding (organisation_id, name) ON DELETE CASCADE)
)sql"},
    {4, "what took the place of which device", R"sql(
CREATE TABLE device_replacement (
  organisation_id BIGINT NOT NULL REFERENCES organisation (id),
  id              BIGINT NOT NULL PRIMARY KEY,
  twin_id         BIGINT NOT NULL REFERENCES twin (id) ON DELETE CASCADE,
  old_device      TEXT NOT NULL,
  new_device      TEXT NOT NULL,
  old_serial      TEXT NOT NULL,
  new_serial      TEXT NOT NULL,
  reason          TEXT NOT NULL,
  replaced_by     TEXT NOT NULL,
  replaced_at     BIGINT NOT NULL)
)sql"},
};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace penstock::twin
