#include "twin/onboarding.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "store/digest.h"
#include "twin/names.h"

namespace penstock::twin {
namespace {

constexpr store::Migration kMigrations[] = {
    {1, "claim codes", R"sql(
CREATE TABLE claim_code (
  organisation_id BIGINT NOT NULL,
  id              BIGINT NOT NULL PRIMARY KEY,
  secret          TEXT NOT NULL UNIQUE,
  name            TEXT NOT NULL,
  site            TEXT NOT NULL,
  model           TEXT NOT NULL,
  binding         TEXT NOT NULL,
  protocol        TEXT NOT NULL,
  note            TEXT NOT NULL,
  created_by      TEXT NOT NULL,
  created_at      BIGINT NOT NULL,
  expires_at      BIGINT NOT NULL,
  used_at         BIGINT NOT NULL,
  serial          TEXT NOT NULL,
  UNIQUE (organisation_id, name))
)sql"},
};

constexpr std::string_view kClaimColumns =
    "id, organisation_id, name, site, model, binding, protocol, note, created_by, created_at, "
    "expires_at, used_at, serial";

using ClaimRow =
    std::tuple<int64_t, OrganisationId, std::string, std::string, std::string, std::string,
               std::string, std::string, std::string, Timestamp, Timestamp, Timestamp, std::string>;

ClaimRecord record_of(ClaimRow row) {
  ClaimRecord out;
  int64_t id = 0;
  std::tie(id, out.organisation, out.name, out.site, out.model, out.binding, out.protocol, out.note,
           out.created_by, out.created_at, out.expires_at, out.used_at, out.serial) =
      std::move(row);
  out.id = static_cast<uint64_t>(id);
  return out;
}

template <class... Args>
Result<std::vector<ClaimRecord>> query_claims(store::Session& session, std::string_view where,
                                              const Args&... args) {
  std::vector<ClaimRecord> out;
  TRY((session.each<int64_t, OrganisationId, std::string, std::string, std::string, std::string,
                    std::string, std::string, std::string, Timestamp, Timestamp, Timestamp,
                    std::string>(
      [&](auto... columns) { out.push_back(record_of(ClaimRow(std::move(columns)...))); },
      fmt::format("SELECT {} FROM claim_code WHERE {}", kClaimColumns, where), args...)));
  return out;
}

// As people type it: without dashes and spaces, in upper case; O is 0, I and L are 1 (Crockford).
std::string normal_code(std::string_view code) {
  std::string out;
  for (const char c : code.substr(0, 64)) {
    const auto upper = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (upper == '-' || upper == ' ') continue;
    out += upper == 'O' ? '0' : upper == 'I' || upper == 'L' ? '1' : upper;
  }
  return out;
}

std::string numbered(std::string_view pattern, uint32_t n) {
  std::string out(pattern);
  const size_t at = out.find("{n}");
  if (at != std::string::npos) out.replace(at, 3, std::to_string(n));
  return out;
}

std::string claim_label(uint64_t id) { return fmt::format("clm_{}", id); }

}  // namespace

Onboarding::Onboarding(store::Registry& registry, TwinRegistry& twins, Clock& clock, Random& random,
                       OnboardingOptions options)
    : registry_(registry), twins_(twins), clock_(clock), random_(random), options_(options) {}

Result<std::unique_ptr<Onboarding>> Onboarding::open(store::Registry& registry, TwinRegistry& twins,
                                                     Clock& clock, Random& random,
                                                     OnboardingOptions options) {
  TRY(registry.migrate("onboarding", kMigrations));
  return std::unique_ptr<Onboarding>(new Onboarding(registry, twins, clock, random, options));
}

// Sixteen characters of Crockford's base 32: 80 bits, and nothing that looks like something else.
std::string Onboarding::new_code() {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  unsigned char bytes[16];
  random_.fill(std::as_writable_bytes(std::span(bytes)));
  std::string code;
  for (size_t i = 0; i < sizeof bytes; ++i) {
    if (i > 0 && i % 4 == 0) code += '-';
    code += kLetters[bytes[i] & 31];
  }
  return code;
}

Result<std::vector<ClaimMade>> Onboarding::create_claims(OrganisationId organisation,
                                                         const ClaimDraft& draft,
                                                         std::string_view who) {
  if (draft.count == 0 || draft.count > options_.claims_at_once_max)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("1 to {} codes at once", options_.claims_at_once_max), "count");
  if (draft.count > 1 && draft.name.find("{n}") == std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "several devices need a {n} in their name", "name");
  TRY(twins_.site(organisation, draft.site));
  TRY(twins_.model(organisation, draft.model));
  if (!draft.binding.empty()) TRY(twins_.binding(organisation, draft.binding));
  const Timestamp now = clock_.now();
  std::vector<ClaimMade> made(draft.count);
  for (uint32_t i = 0; i < draft.count; ++i) {
    ClaimRecord& record = made[i].record;
    record.organisation = organisation;
    record.name = numbered(draft.name, draft.first + i);
    TRY(check_device_name(record.name));
    if (twins_.device(record.name))
      return fail(ErrorCode::kAlreadyExists, "a device of that name is registered", record.name);
    record.site = draft.site;
    record.model = draft.model;
    record.binding = draft.binding;
    record.protocol = draft.protocol;
    record.note = draft.note;
    record.created_by = who;
    record.created_at = now;
    record.expires_at = draft.expires_at;
    made[i].code = new_code();
  }
  const auto done = registry_.write([&](store::Session& session) -> Status {
    // A code nobody used gives its name back.
    TRY(
        session.run("DELETE FROM claim_code WHERE organisation_id = ? AND used_at = 0 AND "
                    "expires_at < ?",
                    organisation, now));
    TRY_ASSIGN(const auto open,
               session.query_one<int64_t>("SELECT COUNT(*) FROM claim_code WHERE used_at = 0"));
    if (std::get<0>(*open) + draft.count > options_.claims_open_max)
      return fail(ErrorCode::kResourceExhausted, "too many codes are open: delete some first");
    TRY_ASSIGN(int64_t id, session.next_id("claim_code", draft.count));
    for (ClaimMade& one : made) {
      const ClaimRecord& r = one.record;
      one.record.id = static_cast<uint64_t>(id++);
      const auto inserted = session.run(
          "INSERT INTO claim_code (organisation_id, id, secret, name, site, model, binding, "
          "protocol, note, created_by, created_at, expires_at, used_at, serial) VALUES (?, ?, ?, "
          "?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')",
          organisation, static_cast<int64_t>(one.record.id),
          store::sha256_hex(normal_code(one.code)), r.name, r.site, r.model, r.binding, r.protocol,
          r.note, r.created_by, r.created_at, r.expires_at);
      if (!inserted && inserted.error().code == ErrorCode::kAlreadyExists)
        return fail(ErrorCode::kAlreadyExists, "there is a code for a device of that name", r.name);
      TRY(inserted);
    }
    return {};
  });
  TRY(done);
  return made;
}

Result<std::vector<ClaimRecord>> Onboarding::claims(OrganisationId organisation, uint64_t after,
                                                    size_t limit) {
  return registry_.read([&](store::Session& session) {
    return query_claims(session, "organisation_id = ? AND id > ? ORDER BY id LIMIT ?", organisation,
                        static_cast<int64_t>(after), static_cast<int64_t>(limit));
  });
}

Status Onboarding::delete_claim(OrganisationId organisation, uint64_t id) {
  TRY_ASSIGN(const int64_t gone, registry_.write([&](store::Session& session) {
    return session.run("DELETE FROM claim_code WHERE organisation_id = ? AND id = ?", organisation,
                       static_cast<int64_t>(id));
  }));
  if (gone == 0) return fail(ErrorCode::kNotFound, "there is no such claim code");
  return {};
}

bool Onboarding::may_try(std::string_view peer) {
  const std::lock_guard lock(mutex_);
  const auto found = failures_.find(std::string(peer));
  if (found == failures_.end()) return true;
  const double minutes = static_cast<double>(clock_.monotonic_us() - found->second.at_us) / 60e6;
  return found->second.failures - minutes * options_.attempts_per_minute <
         options_.attempts_per_minute;
}

void Onboarding::count_failure(std::string_view peer) {
  const std::lock_guard lock(mutex_);
  if (failures_.size() >= options_.addresses_max) failures_.clear();
  Bucket& bucket = failures_[std::string(peer)];
  const int64_t now_us = clock_.monotonic_us();
  const double minutes = static_cast<double>(now_us - bucket.at_us) / 60e6;
  bucket.failures = std::max(0.0, bucket.failures - minutes * options_.attempts_per_minute) + 1;
  bucket.at_us = now_us;
}

Result<DeviceCreated> Onboarding::claim(std::string_view code, std::string_view serial,
                                        std::string_view peer) {
  if (!may_try(peer))
    return fail(ErrorCode::kResourceExhausted, "too many wrong codes from this address: wait");
  TRY(check_text("serial", serial, 200));
  const std::lock_guard one_at_a_time(claiming_);
  const std::string digest = store::sha256_hex(normal_code(code));
  TRY_ASSIGN(auto found, registry_.read([&](store::Session& session) {
    return query_claims(session, "secret = ?", digest);
  }));
  const Timestamp now = clock_.now();
  if (found.empty() || found.front().used_at.us != 0 ||
      (found.front().expires_at.us != 0 && found.front().expires_at <= now)) {
    count_failure(peer);
    return fail(ErrorCode::kUnauthenticated, "this code is unknown, used or expired");
  }
  const ClaimRecord& claim = found.front();
  DeviceCreated made;
  const auto before = twins_.device(claim.organisation, claim.name);
  const auto twin = before ? twins_.twin((*before)->twin) : nullptr;
  const auto label =
      twin ? twin->labels.find("claim") : std::map<std::string, std::string>::const_iterator();
  if (twin && label != twin->labels.end() && label->second == claim_label(claim.id)) {
    TRY_ASSIGN(made.token, twins_.rotate_credentials(claim.organisation, claim.name, {}));
    TRY_ASSIGN(made.device, twins_.device(claim.organisation, claim.name));
    made.twin = twin;
  } else {
    DeviceDraft draft;
    draft.name = claim.name;
    draft.site = claim.site;
    draft.model = claim.model;
    draft.binding = claim.binding;
    draft.protocol = claim.protocol;
    draft.labels = {{"claim", claim_label(claim.id)}};
    if (!serial.empty()) draft.labels["serial"] = serial;
    TRY_ASSIGN(made, twins_.create_device(claim.organisation, draft));
  }
  const auto used = registry_.write([&](store::Session& session) {
    return session.run("UPDATE claim_code SET used_at = ?, serial = ? WHERE id = ?", now,
                       std::string(serial), static_cast<int64_t>(claim.id));
  });
  TRY(used);
  return made;
}

}  // namespace penstock::twin
