// What a source's document may say.

#include <algorithm>
#include <array>

#include "interop/opcua/book.h"

namespace penstock::interop::opcua {
namespace {

constexpr std::array kModes{"None", "Sign", "SignAndEncrypt"};
constexpr std::array kPolicies{"None", "Basic256Sha256", "Aes128_Sha256_RsaOaep",
                               "Aes256_Sha256_RsaPss"};
constexpr std::array kUsers{"anonymous", "password", "certificate"};
constexpr std::array kTimes{"source", "server", "arrival"};

struct Number {
  const char* member;
  int64_t otherwise, minimum, maximum;
};
constexpr std::array kNumbers{
    Number{"publishing_ms", 500, 50, 60'000}, Number{"sampling_ms", 1000, 0, 3'600'000},
    Number{"queue", 10, 1, 10'000},           Number{"keep_alive_ms", 3000, 500, 60'000},
    Number{"time_out_ms", 5000, 500, 60'000}, Number{"history_hours_max", 168, 1, 8760},
};
constexpr std::array kFlags{"history", "events", "enabled"};

Status choose(const Json& document, Json& out, const char* member, std::span<const char* const> of,
              const char* otherwise) {
  const Json value = document.value(member, Json(otherwise));
  if (!value.is_string() || std::ranges::find(of, value.get<std::string>()) == of.end()) {
    std::string all;
    for (const char* one : of) all += (all.empty() ? "" : ", ") + std::string(one);
    return fail(ErrorCode::kInvalidArgument, "must be one of " + all, member);
  }
  out[member] = value;
  return {};
}

Status check_members(const Json& document) {
  for (const auto& [key, value] : document.items()) {
    const bool known =
        key == "endpoint_url" || key == "display_name" || key == "security_mode" ||
        key == "security_policy" || key == "user_kind" || key == "user_name" ||
        key == "time_from" ||
        std::ranges::any_of(kNumbers, [&](const Number& n) { return key == n.member; }) ||
        std::ranges::any_of(kFlags, [&](const char* flag) { return key == flag; });
    if (!known) return fail(ErrorCode::kInvalidArgument, "a source has no such member", key);
  }
  return {};
}

}  // namespace

const Asset* Source::asset(std::string_view device) const {
  const auto it = std::ranges::find(assets, device, &Asset::device);
  return it == assets.end() ? nullptr : &*it;
}

Result<Json> check_source(const Json& document) {
  TRY(check_members(document));
  Json out;
  for (const char* member : {"endpoint_url", "display_name", "user_name"}) {
    const Json value = document.value(member, Json(""));
    if (!value.is_string() || value.get_ref<const std::string&>().size() > 1000)
      return fail(ErrorCode::kInvalidArgument, "must be a text of at most 1000 bytes", member);
    out[member] = value;
  }
  const auto& url = out["endpoint_url"].get_ref<const std::string&>();
  if (!url.starts_with("opc.tcp://") || url.size() < 12)
    return fail(ErrorCode::kInvalidArgument, "the address reads opc.tcp://host:4840",
                "endpoint_url");
  TRY(choose(document, out, "security_mode", kModes, "SignAndEncrypt"));
  TRY(choose(document, out, "security_policy", kPolicies,
             out["security_mode"] == "None" ? "None" : "Basic256Sha256"));
  TRY(choose(document, out, "user_kind", kUsers, "anonymous"));
  TRY(choose(document, out, "time_from", kTimes, "source"));
  if ((out["security_mode"] == "None") != (out["security_policy"] == "None"))
    return fail(ErrorCode::kInvalidArgument,
                "security mode None goes with policy None, and only with it", "security_policy");
  for (const Number& number : kNumbers) {
    const Json value = document.value(number.member, Json(number.otherwise));
    if (!value.is_number_integer() || value.get<int64_t>() < number.minimum ||
        value.get<int64_t>() > number.maximum)
      return fail(ErrorCode::kInvalidArgument,
                  "must be a whole number from " + std::to_string(number.minimum) + " to " +
                      std::to_string(number.maximum),
                  number.member);
    out[number.member] = value;
  }
  for (const char* flag : kFlags) {
    const Json value = document.value(flag, Json(true));
    if (!value.is_boolean())
      return fail(ErrorCode::kInvalidArgument, "must be true or false", flag);
    out[flag] = value;
  }
  return out;
}

}  // namespace penstock::interop::opcua
