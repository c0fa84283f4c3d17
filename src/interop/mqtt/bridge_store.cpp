#include "interop/mqtt/bridge_store.h"

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

namespace penstock::interop::mqtt {
namespace {

using store::Session;

constexpr size_t kBridgesMax = 1000;
constexpr size_t kVersionsShown = 1000;

constexpr std::array<store::Migration, 1> kMigrations{{{1, "bridges",
                                                        R"sql(
CREATE TABLE bridge (
  name TEXT NOT NULL PRIMARY KEY, organisation_id INTEGER NOT NULL, version INTEGER NOT NULL,
  document TEXT NOT NULL, secrets TEXT NOT NULL, changed_by TEXT NOT NULL,
  changed_at BIGINT NOT NULL);
CREATE TABLE bridge_version (
  organisation_id INTEGER NOT NULL, name TEXT NOT NULL, changed_at BIGINT NOT NULL,
  version INTEGER NOT NULL, document TEXT NOT NULL, changed_by TEXT NOT NULL,
  PRIMARY KEY (organisation_id, name, changed_at, version));
)sql"}}};

std::string to_hex(std::string_view bytes) {
  std::string out(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                 bytes.size());
  out.pop_back();
  return out;
}

bool from_hex(std::string_view hex, unsigned char* out, size_t size) {
  size_t read = 0;
  return sodium_hex2bin(out, size, hex.data(), hex.size(), "\n", &read, nullptr) == 0 &&
         read == size;
}

}  // namespace

Result<std::unique_ptr<BridgeStore>> BridgeStore::open(store::Registry& registry, FileSystem& files,
                                                       Clock& clock, Random& random,
                                                       const std::string& key_file) {
  if (sodium_init() < 0) return fail(ErrorCode::kInternal, "libsodium could not be initialised");
  TRY(registry.migrate("bridges", kMigrations));
  std::unique_ptr<BridgeStore> made(new BridgeStore(registry, clock, random));
  TRY(made->open_key(files, key_file));
  TRY(made->load());
  return made;
}

Status BridgeStore::open_key(FileSystem& files, const std::string& key_file) {
  if (!files.exists(key_file)) {
    random_.fill(std::as_writable_bytes(std::span(key_)));
    const std::string_view raw(reinterpret_cast<const char*>(key_.data()), key_.size());
    const mode_t before = ::umask(077);
    const Status written = write_file_atomically(files, key_file, to_hex(raw) + "\n");
    ::umask(before);
    TRY(written);
  }
  ::chmod(key_file.c_str(), 0600);
  TRY_ASSIGN(const std::string text, read_file(files, key_file, 4096));
  if (!from_hex(text, key_.data(), key_.size()))
    return fail(ErrorCode::kCorrupt,
                "the key of the bridges' secrets is 64 hexadecimal digits: restore it from a "
                "backup, or remove it and give every bridge its secrets again",
                key_file);
  return {};
}

std::string BridgeStore::seal(const BridgeSecrets& secrets) const {
  if (secrets.password.empty() && secrets.key_pem.empty()) return {};
  const std::string plain = Json{{"password", secrets.password}, {"key_pem", secrets.key_pem}}.dump(
      -1, ' ', true, Json::error_handler_t::replace);
  std::string out(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + plain.size(), '\0');
  auto* const bytes = reinterpret_cast<unsigned char*>(out.data());
  random_.fill(std::as_writable_bytes(std::span(out).first(crypto_secretbox_NONCEBYTES)));
  crypto_secretbox_easy(bytes + crypto_secretbox_NONCEBYTES,
                        reinterpret_cast<const unsigned char*>(plain.data()), plain.size(), bytes,
                        key_.data());
  return to_hex(out);
}

Result<BridgeSecrets> BridgeStore::unseal(std::string_view sealed) const {
  if (sealed.empty()) return BridgeSecrets{};
  constexpr size_t kOverhead = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
  std::string box(sealed.size() / 2, '\0');
  auto* const bytes = reinterpret_cast<unsigned char*>(box.data());
  std::string plain(box.size() < kOverhead ? 0 : box.size() - kOverhead, '\0');
  const bool opened =
      box.size() > kOverhead && from_hex(sealed, bytes, box.size()) &&
      crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(plain.data()),
                                 bytes + crypto_secretbox_NONCEBYTES,
                                 box.size() - crypto_secretbox_NONCEBYTES, bytes, key_.data()) == 0;
  if (!opened)
    return fail(ErrorCode::kCorrupt, "its secrets were sealed with another key: give them again");
  TRY_ASSIGN(const Json json, parse_json(plain));
  return BridgeSecrets{json.value("password", ""), json.value("key_pem", "")};
}

Status BridgeStore::load() {
  return registry_.read([&](Session& session) -> Status {
    TRY_ASSIGN(
        const auto rows,
        (session.query<OrganisationId, uint32_t, std::string, std::string, std::string, Timestamp>(
            "SELECT organisation_id, version, document, secrets, "
            "changed_by, changed_at FROM bridge ORDER BY name")));
    entries_.clear();
    for (const auto& [organisation, version, document, sealed, who, at] : rows) {
      Entry entry;
      entry.record.organisation = organisation;
      entry.record.version = version;
      entry.record.changed_by = who;
      entry.record.changed_at = at;
      TRY_ASSIGN(const Json json, parse_json(document));
      // A lost key must not keep the server from starting: the bridge fails with its broker's word.
      if (auto secrets = unseal(sealed)) entry.secrets = *std::move(secrets);
      if (const Status read = read_bridge(json, entry.record.config, entry.secrets); !read)
        entry.record.config.enabled = false;
      entry.record.has_password = !entry.secrets.password.empty();
      entry.record.has_key = !entry.secrets.key_pem.empty();
      entries_.push_back(std::move(entry));
    }
    return {};
  });
}

Result<BridgeStore::Entry> BridgeStore::find(OrganisationId organisation,
                                             std::string_view name) const {
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_)
    if (entry.record.organisation == organisation && entry.record.config.name == name) return entry;
  return fail(ErrorCode::kNotFound, "There is no such bridge", std::string(name.substr(0, 100)));
}

std::vector<BridgeRecord> BridgeStore::bridges(OrganisationId organisation) {
  const std::lock_guard lock(mutex_);
  std::vector<BridgeRecord> out;
  for (const Entry& entry : entries_)
    if (entry.record.organisation == organisation) out.push_back(entry.record);
  return out;
}

Result<BridgeRecord> BridgeStore::bridge(OrganisationId organisation, std::string_view name) {
  TRY_ASSIGN(const Entry entry, find(organisation, name));
  return entry.record;
}

Result<std::vector<BridgeVersion>> BridgeStore::versions(OrganisationId organisation,
                                                         std::string_view name) {
  TRY_ASSIGN(const Entry entry, find(organisation, name));
  return registry_.read([&](Session& session) -> Result<std::vector<BridgeVersion>> {
    std::vector<BridgeVersion> out;
    TRY((session.each<uint32_t, std::string, std::string, Timestamp>(
        [&](uint32_t version, std::string document, std::string who, Timestamp at) {
          if (out.size() < kVersionsShown)
            out.push_back({version, std::move(document), std::move(who), at});
        },
        "SELECT version, document, changed_by, changed_at FROM bridge_version WHERE "
        "organisation_id = ? AND name = ? ORDER BY changed_at DESC, version DESC",
        organisation, entry.record.config.name)));
    return out;
  });
}

// Stores what `entry` says now, and puts it into memory. REQUIRES: change_mutex_ is held.
Status BridgeStore::write(Entry& entry, bool fresh, std::string_view who) {
  BridgeRecord& record = entry.record;
  record.has_password = !entry.secrets.password.empty();
  record.has_key = !entry.secrets.key_pem.empty();
  record.changed_by = who;
  record.changed_at = clock_.now();
  const std::string document = bridge_json(record.config).dump();
  const std::string sealed = seal(entry.secrets);
  const Status done = registry_.write([&](Session& session) -> Status {
    if (fresh)
      TRY(
          session.run("INSERT INTO bridge (name, organisation_id, version, document, secrets, "
                      "changed_by, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      record.config.name, record.organisation, record.version, document, sealed,
                      record.changed_by, record.changed_at));
    else
      TRY(
          session.run("UPDATE bridge SET version = ?, document = ?, secrets = ?, changed_by = ?, "
                      "changed_at = ? WHERE name = ?",
                      record.version, document, sealed, record.changed_by, record.changed_at,
                      record.config.name));
    TRY(
        session.run("INSERT INTO bridge_version (organisation_id, name, changed_at, version, "
                    "document, changed_by) VALUES (?, ?, ?, ?, ?, ?)",
                    record.organisation, record.config.name, record.changed_at, record.version,
                    document, record.changed_by));
    return {};
  });
  if (!done && fresh && done.error().code == ErrorCode::kAlreadyExists)
    return fail(ErrorCode::kAlreadyExists, "A bridge of that name exists already",
                record.config.name);
  TRY(done);
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_,
                  [&](const Entry& old) { return old.record.config.name == record.config.name; });
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), record.config.name,
                                     [](const Entry& one, const std::string& wanted) {
                                       return one.record.config.name < wanted;
                                     });
    entries_.insert(at, entry);
  }
  if (listener_) listener_(record.config.name, &record, entry.secrets);
  return {};
}

Result<BridgeRecord> BridgeStore::create(OrganisationId organisation, const Json& document,
                                         std::string_view who) {
  const std::lock_guard one(change_mutex_);
  Entry entry;
  entry.record.organisation = organisation;
  TRY(read_bridge(document, entry.record.config, entry.secrets));
  {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= kBridgesMax)
      return fail(ErrorCode::kResourceExhausted, "The limit of 1000 bridges is reached");
  }
  TRY(write(entry, true, who));
  return entry.record;
}

Result<BridgeRecord> BridgeStore::change(OrganisationId organisation, std::string_view name,
                                         const Json& document, std::string_view who) {
  const std::lock_guard one(change_mutex_);
  TRY_ASSIGN(Entry entry, find(organisation, name));
  TRY(read_bridge(document, entry.record.config, entry.secrets));
  if (entry.record.config.name != name)
    return fail(ErrorCode::kInvalidArgument, "A bridge's name never changes", "name");
  ++entry.record.version;
  TRY(write(entry, false, who));
  return entry.record;
}

Status BridgeStore::remove(OrganisationId organisation, std::string_view name,
                           std::string_view who) {
  const std::lock_guard one(change_mutex_);
  TRY_ASSIGN(Entry entry, find(organisation, name));
  const std::string& gone = entry.record.config.name;
  const Status done = registry_.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM bridge WHERE name = ?", gone));
    TRY(
        session.run("INSERT INTO bridge_version (organisation_id, name, changed_at, version, "
                    "document, changed_by) VALUES (?, ?, ?, ?, 'null', ?)",
                    organisation, gone, clock_.now(), entry.record.version + 1, std::string(who)));
    return {};
  });
  TRY(done);
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [&](const Entry& old) { return old.record.config.name == gone; });
  }
  if (listener_) listener_(gone, nullptr, {});
  return {};
}

void BridgeStore::subscribe(Listener listener) {
  const std::lock_guard one(change_mutex_);
  listener_ = std::move(listener);
  std::vector<Entry> all;
  {
    const std::lock_guard lock(mutex_);
    all = entries_;
  }
  for (const Entry& entry : all) listener_(entry.record.config.name, &entry.record, entry.secrets);
}

void BridgeStore::set_status(std::function<BridgeStatus(std::string_view)> status) {
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

BridgeStatus BridgeStore::status(std::string_view name) {
  std::function<BridgeStatus(std::string_view)> ask;
  {
    const std::lock_guard lock(mutex_);
    ask = status_;
  }
  return ask ? ask(name) : BridgeStatus{};
}

}  // namespace penstock::interop::mqtt
