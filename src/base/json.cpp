#include "base/json.h"

namespace penstock {

Result<Json> parse_json(std::string_view text, int max_depth) {
  bool too_deep = false;
  const auto watch_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > max_depth;
    return !too_deep;
  };
  // nlohmann's parser recurses on an explicit stack, so depth is a matter of policy, not of safety.
  try {
    Json document = Json::parse(text, watch_depth);
    if (too_deep)
      return fail(ErrorCode::kInvalidArgument,
                  "JSON is nested deeper than " + std::to_string(max_depth) + " levels");
    return document;
  } catch (const Json::parse_error& error) {
    return fail(ErrorCode::kInvalidArgument, "not valid JSON at byte " + std::to_string(error.byte),
                std::string(text.substr(0, 64)));
  } catch (const Json::out_of_range&) {  // 2e999999: well formed, but no double
    return fail(ErrorCode::kInvalidArgument, "not valid JSON: a number is too large",
                std::string(text.substr(0, 64)));
  }
}

}  // namespace penstock
