#include "interop/lwm2m/store.h"

#include <algorithm>
#include <array>
#include <mutex>

#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

#include "base/log.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr std::array<store::Migration, 1> kMigrations{{{1, "registrations, credentials, bootstrap",
                                                        R"sql(
CREATE TABLE lwm2m_registration (
  location TEXT NOT NULL PRIMARY KEY, organisation_id INTEGER NOT NULL, endpoint TEXT NOT NULL,
  document TEXT NOT NULL);
CREATE TABLE lwm2m_credential (
  identity TEXT NOT NULL PRIMARY KEY, organisation_id INTEGER NOT NULL, endpoint TEXT NOT NULL,
  bootstrap INTEGER NOT NULL, sealed_key TEXT NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE lwm2m_bootstrap (
  organisation_id INTEGER NOT NULL, endpoint TEXT NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (organisation_id, endpoint));
)sql"}}};

constexpr size_t kSecretBytes = 32 + 48;

std::string to_hex(std::string_view bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                 bytes.size());
  out.pop_back();
  return out;
}

std::string key_of(OrganisationId organisation, std::string_view endpoint) {
  return fmt::format("{}:{}", organisation.value, endpoint);
}

Result<std::string> read_secret(FileSystem& files, Random& random, const std::string& path) {
  if (files.exists(path)) {
    TRY_ASSIGN(std::string secret, read_file(files, path, 4096));
    if (secret.size() != kSecretBytes)
      return fail(ErrorCode::kCorrupt, "the key file of the LwM2M server is damaged", path);
    return secret;
  }
  std::string secret(kSecretBytes, '\0');
  random.fill(std::as_writable_bytes(std::span(secret)));
  const mode_t before = ::umask(0077);
  const Status written = write_file_atomically(files, path, secret);
  ::umask(before);
  TRY(written);
  return secret;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(store::Registry& registry, FileSystem& files,
                                           Random& random, Clock& clock,
                                           const std::string& key_file) {
  if (sodium_init() < 0) return fail(ErrorCode::kInternal, "libsodium does not start");
  TRY(registry.migrate("lwm2m", kMigrations));
  std::unique_ptr<Store> out(new Store(registry, random, clock));
  TRY_ASSIGN(out->secret_, read_secret(files, random, key_file));
  TRY(out->load());
  return out;
}

// XChaCha20-Poly1305 by libsodium's secretbox: nonce, then box, in hexadecimal.
std::string Store::seal(std::string_view key) {
  std::string box(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + key.size(), '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(box.data());
  random_.fill({reinterpret_cast<std::byte*>(bytes), crypto_secretbox_NONCEBYTES});
  crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES,
                        reinterpret_cast<const unsigned char*>(key.data()), key.size(), bytes,
                        reinterpret_cast<const unsigned char*>(secret_.data()));
  return to_hex(box);
}

Result<std::string> Store::unseal(std::string_view hex) const {
  std::string box(hex.size() / 2, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(box.data());
  size_t size = 0;
  constexpr size_t kOverhead = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
  const bool read =
      sodium_hex2bin(bytes, box.size(), hex.data(), hex.size(), nullptr, &size, nullptr) == 0;
  if (read && size >= kOverhead) {
    std::string key(size - kOverhead, '\0');
    if (crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(key.data()),
                                   bytes + crypto_secretbox_NONCEBYTES,
                                   size - crypto_secretbox_NONCEBYTES, bytes,
                                   reinterpret_cast<const unsigned char*>(secret_.data())) == 0)
      return key;
  }
  return fail(ErrorCode::kCorrupt,
              "the key was sealed with another key file: make the credential anew");
}

Status Store::load() {
  return registry_.read([&](store::Session& session) -> Status {
    TRY((session.each<std::string, OrganisationId, std::string, bool, std::string, Timestamp>(
        [&](std::string identity, OrganisationId organisation, std::string endpoint, bool bootstrap,
            const std::string& sealed, Timestamp created_at) {
          auto key = unseal(sealed);
          if (!key) {
            log_warning("lwm2m", "credential {}: {}", identity, key.error().text());
            return;
          }
          credentials_[identity] = {organisation, identity,        std::move(endpoint),
                                    bootstrap,    *std::move(key), created_at};
        },
        "SELECT identity, organisation_id, endpoint, bootstrap, sealed_key, created_at "
        "FROM lwm2m_credential")));
    return session.each<OrganisationId, std::string, std::string>(
        [&](OrganisationId organisation, const std::string& endpoint, const std::string& text) {
          if (auto document = parse_json(text))
            bootstrap_[key_of(organisation, endpoint)] = *std::move(document);
        },
        "SELECT organisation_id, endpoint, document FROM lwm2m_bootstrap");
  });
}

Result<std::vector<StoredRegistration>> Store::registrations() {
  std::vector<StoredRegistration> out;
  TRY(registry_.read([&](store::Session& session) -> Status {
    return session.each<std::string, OrganisationId, std::string, std::string>(
        [&](std::string location, OrganisationId organisation, std::string endpoint,
            std::string document) {
          out.push_back(
              {std::move(location), organisation, std::move(endpoint), std::move(document)});
        },
        "SELECT location, organisation_id, endpoint, document FROM lwm2m_registration");
  }));
  return out;
}

Status Store::save(const std::vector<StoredRegistration>& changed,
                   const std::vector<std::string>& removed) {
  return registry_.write([&](store::Session& session) -> Status {
    for (const auto& location : removed)
      TRY(session.run("DELETE FROM lwm2m_registration WHERE location = ?", location));
    for (const auto& one : changed) {
      TRY(session.run("DELETE FROM lwm2m_registration WHERE location = ?", one.location));
      TRY(session.run(
          "INSERT INTO lwm2m_registration (location, organisation_id, endpoint, document) "
          "VALUES (?, ?, ?, ?)",
          one.location, one.organisation, one.endpoint, one.document));
    }
    return {};
  });
}

Status Store::save_credential(const Credential& credential) {
  if (const auto taken = this->credential(credential.identity);
      taken &&
      (taken->endpoint != credential.endpoint || taken->organisation != credential.organisation))
    return fail(ErrorCode::kConflict, "the identity belongs to another endpoint: choose another",
                credential.identity);
  Credential kept = credential;
  kept.created_at = clock_.now();
  const std::string sealed = seal(kept.key);
  const Status written = registry_.write([&](store::Session& session) -> Status {
    TRY(session.run("DELETE FROM lwm2m_credential WHERE identity = ?", kept.identity));
    TRY(session.run(
        "INSERT INTO lwm2m_credential (identity, organisation_id, endpoint, bootstrap, "
        "sealed_key, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        kept.identity, kept.organisation, kept.endpoint, kept.bootstrap, sealed, kept.created_at));
    return {};
  });
  TRY(written);
  const std::unique_lock lock(mutex_);
  credentials_[kept.identity] = kept;
  return {};
}

Status Store::remove_credential(OrganisationId organisation, std::string_view identity) {
  const auto known = credential(identity);
  if (!known || known->organisation != organisation)
    return fail(ErrorCode::kNotFound, "no credential has that identity", std::string(identity));
  const Status written = registry_.write([&](store::Session& session) -> Status {
    TRY(session.run("DELETE FROM lwm2m_credential WHERE identity = ?", identity));
    return {};
  });
  TRY(written);
  const std::unique_lock lock(mutex_);
  credentials_.erase(std::string(identity));
  return {};
}

std::vector<Credential> Store::credentials(OrganisationId organisation,
                                           std::string_view endpoint) const {
  std::vector<Credential> out;
  const std::shared_lock lock(mutex_);
  for (const auto& [identity, credential] : credentials_)
    if (credential.organisation == organisation &&
        (endpoint.empty() || credential.endpoint == endpoint)) {
      out.push_back(credential);
      out.back().key.clear();
    }
  std::ranges::sort(out, {}, &Credential::identity);
  return out;
}

std::optional<Credential> Store::credential(std::string_view identity) const {
  const std::shared_lock lock(mutex_);
  const auto found = credentials_.find(std::string(identity));
  return found == credentials_.end() ? std::nullopt : std::optional(found->second);
}

bool Store::has_credential(std::string_view endpoint) const {
  const std::shared_lock lock(mutex_);
  return std::ranges::any_of(credentials_, [&](const auto& entry) {
    return entry.second.endpoint == endpoint && !entry.second.bootstrap;
  });
}

Status Store::save_bootstrap(OrganisationId organisation, std::string_view endpoint,
                             const Json& document) {
  const std::string text = document.dump();
  const Status written = registry_.write([&](store::Session& session) -> Status {
    TRY(session.run("DELETE FROM lwm2m_bootstrap WHERE organisation_id = ? AND endpoint = ?",
                    organisation, endpoint));
    TRY(session.run(
        "INSERT INTO lwm2m_bootstrap (organisation_id, endpoint, document) VALUES (?, ?, ?)",
        organisation, endpoint, text));
    return {};
  });
  TRY(written);
  const std::unique_lock lock(mutex_);
  bootstrap_[key_of(organisation, endpoint)] = document;
  return {};
}

Status Store::remove_bootstrap(OrganisationId organisation, std::string_view endpoint) {
  const Status written = registry_.write([&](store::Session& session) -> Status {
    TRY(session.run("DELETE FROM lwm2m_bootstrap WHERE organisation_id = ? AND endpoint = ?",
                    organisation, endpoint));
    return {};
  });
  TRY(written);
  const std::unique_lock lock(mutex_);
  bootstrap_.erase(key_of(organisation, endpoint));
  return {};
}

std::optional<Json> Store::bootstrap(OrganisationId organisation, std::string_view endpoint) const {
  const std::shared_lock lock(mutex_);
  const auto found = bootstrap_.find(key_of(organisation, endpoint));
  return found == bootstrap_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace penstock::interop::lwm2m
