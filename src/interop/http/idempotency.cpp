#include "interop/http/idempotency.h"

#include <fmt/format.h>

#include "store/digest.h"

namespace penstock::interop::http {
namespace {

constexpr store::Migration kMigrations[] = {
    {1, "idempotency keys of HTTP ingest", R"sql(
CREATE TABLE ingest_key (
  organisation_id BIGINT NOT NULL,
  sender          TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  body            TEXT NOT NULL,
  received_at     BIGINT NOT NULL,
  answer          TEXT NOT NULL,
  PRIMARY KEY (organisation_id, sender, idempotency_key));
CREATE INDEX ingest_key_by_time ON ingest_key (received_at)
)sql"},
};

std::string running_name(OrganisationId organisation, std::string_view sender,
                         std::string_view key) {
  return fmt::format("{}\n{}\n{}", organisation.value, sender, key);
}

}  // namespace

Result<std::unique_ptr<IdempotencyKeys>> IdempotencyKeys::open(store::Registry& registry,
                                                               Clock& clock,
                                                               IdempotencyOptions options) {
  TRY(registry.migrate("http_ingest", kMigrations));
  return std::unique_ptr<IdempotencyKeys>(new IdempotencyKeys(registry, clock, options));
}

Status IdempotencyKeys::forget_old(store::Session& session, Timestamp now) const {
  TRY(session.run("DELETE FROM ingest_key WHERE received_at < ?", now - options_.window));
  TRY_ASSIGN(const auto count, session.query_one<int64_t>("SELECT COUNT(*) FROM ingest_key"));
  const int64_t over = std::get<0>(*count) - static_cast<int64_t>(options_.keys_max);
  if (over <= 0) return {};
  TRY_ASSIGN(const auto last,
             session.query_one<int64_t>(
                 "SELECT received_at FROM ingest_key ORDER BY received_at LIMIT 1 OFFSET ?", over));
  if (last) TRY(session.run("DELETE FROM ingest_key WHERE received_at < ?", std::get<0>(*last)));
  return {};
}

Result<IdempotencyKeys::Begun> IdempotencyKeys::begin(OrganisationId organisation,
                                                      std::string_view sender, std::string_view key,
                                                      std::string_view body, Timestamp received) {
  if (key.empty() || key.size() > options_.key_bytes_max)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("an Idempotency-Key has 1 to {} characters", options_.key_bytes_max),
                "Idempotency-Key");
  const std::string running = running_name(organisation, sender, key);
  bool forget = false;
  {
    const std::lock_guard lock(mutex_);
    if (!running_.insert(running).second)
      return fail(ErrorCode::kConflict,
                  "a request with this key is being worked on: wait for its answer",
                  "Idempotency-Key");
    const int64_t now_us = clock_.monotonic_us();
    forget = now_us >= forget_at_us_;
    if (forget) forget_at_us_ = now_us + Duration::minutes(1).us;
  }
  const std::string digest = store::sha256_hex(body);
  const std::string sender_text(sender), key_text(key);
  auto begun = registry_.write([&](store::Session& session) -> Result<Begun> {
    if (forget) TRY(forget_old(session, clock_.now()));
    TRY_ASSIGN(const auto known,
               (session.query_one<std::string, Timestamp, std::string>(
                   "SELECT body, received_at, answer FROM ingest_key WHERE organisation_id = ? AND "
                   "sender = ? AND idempotency_key = ?",
                   organisation, sender_text, key_text)));
    if (!known) {
      TRY(
          session.run("INSERT INTO ingest_key (organisation_id, sender, idempotency_key, body, "
                      "received_at, answer) VALUES (?, ?, ?, ?, ?, '')",
                      organisation, sender_text, key_text, digest, received));
      return Begun{received, {}};
    }
    const auto& [old_digest, old_received, answer] = *known;
    if (old_digest != digest)
      return fail(ErrorCode::kInvalidArgument,
                  "this key came with another body before: a new request needs a new key",
                  "Idempotency-Key");
    return Begun{old_received, answer};
  });
  if (!begun || !begun->answer.empty()) {
    const std::lock_guard lock(mutex_);
    running_.erase(running);
  }
  return begun;
}

Status IdempotencyKeys::finish(OrganisationId organisation, std::string_view sender,
                               std::string_view key, std::string_view answer) {
  Status done;
  if (!answer.empty()) {
    const auto kept = registry_.write([&](store::Session& session) {
      return session.run(
          "UPDATE ingest_key SET answer = ? WHERE organisation_id = ? AND sender = ? AND "
          "idempotency_key = ?",
          std::string(answer), organisation, std::string(sender), std::string(key));
    });
    if (!kept) done = fail(kept.error());
  }
  const std::lock_guard lock(mutex_);
  running_.erase(running_name(organisation, sender, key));
  return done;
}

}  // namespace penstock::interop::http
