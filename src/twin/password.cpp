#include "twin/password.h"

#include <array>

#include <sodium.h>

namespace penstock::twin {

Result<std::string> hash_password(std::string_view password, uint64_t passes,
                                  uint64_t memory_bytes) {
  if (password.size() < 8 || password.size() > 256)
    return fail(ErrorCode::kInvalidArgument, "A device's password has 8 to 256 bytes");
  if (password.starts_with("pst_"))
    return fail(ErrorCode::kInvalidArgument,
                "A password may not begin like a token, with pst_: choose another");
  if (sodium_init() < 0) return fail(ErrorCode::kInternal, "libsodium did not start");
  std::array<char, crypto_pwhash_STRBYTES> hash{};
  if (crypto_pwhash_str(hash.data(), password.data(), password.size(), passes,
                        static_cast<size_t>(memory_bytes)) != 0)
    return fail(ErrorCode::kUnavailable, "No memory is left to hash a password: try again");
  return std::string(hash.data());
}

bool verify_password(std::string_view hash, std::string_view password) {
  if (sodium_init() < 0 || hash.size() >= crypto_pwhash_STRBYTES || password.size() > 256)
    return false;
  const std::string terminated(hash);
  return crypto_pwhash_str_verify(terminated.c_str(), password.data(), password.size()) == 0;
}

}  // namespace penstock::twin
