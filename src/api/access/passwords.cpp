#include "api/access/passwords.h"

#include <algorithm>
#include <array>

#include <sodium.h>

#include "base/check.h"

namespace penstock::api::access {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

}  // namespace

Result<std::string> hash_password(const std::string& password, const PasswordCost& cost) {
  CHECK(sodium_init() >= 0);
  char out[crypto_pwhash_STRBYTES];
  if (crypto_pwhash_str_alg(out, password.data(), password.size(), cost.operations,
                            cost.memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0)
    return fail(ErrorCode::kUnavailable, "not enough memory to check passwords right now");
  return std::string(out);
}

bool verify_password(const std::string& hash, const std::string& password,
                     const PasswordCost& cost) {
  CHECK(sodium_init() >= 0);
  if (!hash.empty())
    return crypto_pwhash_str_verify(hash.c_str(), password.data(), password.size()) == 0;
  (void)hash_password(password, cost);
  return false;
}

Status check_password(std::string_view password, std::string_view name, std::string_view email) {
  static constexpr std::array<std::string_view, 12> kObvious{
      "password12", "password123",   "1234567890",  "12345678910",
      "qwertyuiop", "qwertzuiop",    "0123456789",  "changeme123",
      "letmein123", "administrator", "penstock123", "passwordpassword"};
  if (password.size() < 10)
    return fail(ErrorCode::kInvalidArgument, "the password needs at least 10 characters",
                "password");
  if (password.size() > 256)
    return fail(ErrorCode::kInvalidArgument, "the password may have at most 256 bytes", "password");
  const std::string plain = lower(password);
  const bool one_letter =
      std::all_of(plain.begin(), plain.end(), [&](char c) { return c == plain[0]; });
  if (one_letter || plain == lower(name) || plain == lower(email) ||
      std::find(kObvious.begin(), kObvious.end(), plain) != kObvious.end())
    return fail(ErrorCode::kInvalidArgument, "that password is too easy to guess; take another one",
                "password");
  return {};
}

}  // namespace penstock::api::access
