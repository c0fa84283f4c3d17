#pragma once
// Idempotency-Key: a request that is sent again, also after kill -9, is the same samples. ADR 090.

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/io.h"
#include "base/result.h"
#include "store/registry.h"

namespace penstock::interop::http {

struct IdempotencyOptions {
  Duration window = Duration::hours(24);  ///< for so long a key is remembered
  size_t keys_max = 1'000'000;  ///< of all senders; above it the oldest are forgotten early
  size_t key_bytes_max = 128;
};

/// Any thread. A key belongs to its sender.
class IdempotencyKeys {
 public:
  static Result<std::unique_ptr<IdempotencyKeys>> open(store::Registry& registry, Clock& clock,
                                                       IdempotencyOptions options);
  static Result<std::unique_ptr<IdempotencyKeys>> open(store::Registry& registry, Clock& clock) {
    return open(registry, clock, IdempotencyOptions());
  }

  struct Begun {
    Timestamp received;  ///< what values without a time get, row by row a µs later
    std::string answer;  ///< of the request that was finished before; empty: go on, then finish()
  };
  /// Durable when it returns. kInvalidArgument: the key came with another body before, or is too
  /// long. kConflict: a request with that key is being worked on.
  Result<Begun> begin(OrganisationId organisation, std::string_view sender, std::string_view key,
                      std::string_view body, Timestamp received);
  /// Keeps the answer (not empty); `answer` empty: the request failed and may come again.
  Status finish(OrganisationId organisation, std::string_view sender, std::string_view key,
                std::string_view answer);

 private:
  IdempotencyKeys(store::Registry& registry, Clock& clock, IdempotencyOptions options)
      : registry_(registry), clock_(clock), options_(options) {}
  Status forget_old(store::Session& session, Timestamp now) const;

  store::Registry& registry_;
  Clock& clock_;
  IdempotencyOptions options_;
  std::mutex mutex_;
  std::set<std::string> running_;
  int64_t forget_at_us_ = 0;
};

}  // namespace penstock::interop::http
