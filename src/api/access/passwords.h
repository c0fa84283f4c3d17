#pragma once
// Passwords at rest: Argon2id (RFC 9106) through libsodium.

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::api::access {

/// How dear one hash is. The default costs about 60 ms and 64 MiB; tests take less.
struct PasswordCost {
  unsigned long long operations = 2;
  size_t memory_bytes = 64U << 20;
};

/// A self-describing hash with its salt. Slow by design: not on a network thread.
Result<std::string> hash_password(const std::string& password, const PasswordCost& cost);
/// Slow as well; also for a `hash` that is empty or broken, which no password matches: how long it
/// takes tells nobody whether an account exists.
bool verify_password(const std::string& hash, const std::string& password,
                     const PasswordCost& cost);
/// At least 10 characters, not the name or email, not one of the few that everybody tries first.
Status check_password(std::string_view password, std::string_view name, std::string_view email);

}  // namespace penstock::api::access
