#pragma once
// Passwords of devices: Argon2id (RFC 9106) through libsodium. Slow on purpose; never on a shard.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::twin {

/// The self-describing Argon2id string of `password`.
/// kInvalidArgument: not 8 to 256 bytes, or of a token's form. kUnavailable: no memory for it now.
Result<std::string> hash_password(std::string_view password, uint64_t passes,
                                  uint64_t memory_bytes);

/// Whether `password` made `hash`. Takes as long as making it did, right or wrong.
bool verify_password(std::string_view hash, std::string_view password);

}  // namespace penstock::twin
