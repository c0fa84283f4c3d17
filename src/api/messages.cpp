// /messages: raw messages as they come, while somebody looks.

#include <charconv>

#include <sodium.h>

#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "base/io.h"
#include "stream/views.h"

namespace penstock::api {
namespace {

using access::Permission;

std::string base64_of(const std::string& bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  out.resize(out.size() - 1);  // its NUL
  return out;
}

Json message_json(const stream::TappedMessage& message) {
  const bool is_text = to_valid_utf8(message.payload) == message.payload;
  return {{"id", message.id},
          {"received", to_rfc3339(message.received)},
          {"device", text_or_null(to_valid_utf8(message.device))},
          {"topic", to_valid_utf8(message.topic)},
          {"bridge", text_or_null(message.link)},
          {"payload", is_text ? Json(message.payload) : Json()},
          {"payload_base64", is_text ? Json() : Json(base64_of(message.payload))},
          {"size", message.size}};
}

Result<Response> tap_messages(const Services& services, const Call& call) {
  if (!call.principal.sites.empty())
    return fail(ErrorCode::kPermissionDenied,
                "messages are of all sites; only people who see all sites may look at them");
  const auto query = [&](const char* field) {
    return std::string(call.request.query_value(field).value_or(""));
  };
  stream::TapQuestion question;
  question.organisation = call.principal.organisation;
  question.filter = query("filter");
  question.device = query("device");
  const std::string after = query("after");
  const char* const end = after.data() + after.size();
  const auto read = std::from_chars(after.data(), end, question.after);
  if (!after.empty() && (read.ec != std::errc() || read.ptr != end))
    return fail(ErrorCode::kInvalidArgument, "after is the number that the last answer gave",
                "after");
  if (question.filter.empty() && question.device.empty())
    return fail(ErrorCode::kInvalidArgument,
                "say what to listen to: filter is an MQTT topic filter, device a device", "filter");
  TRY_ASSIGN(const auto messages, services.taps.tap(question));
  Json items = Json::array();
  for (const auto& message : messages) items.push_back(message_json(message));
  return Response::json({{"items", std::move(items)},
                         {"after", messages.empty() ? question.after : messages.back().id}});
}

}  // namespace

void add_message_routes(Router& router, const Services& services) {
  add_route(router, Method::kGet, "/messages", Permission::kReadDevices,
            [services](const Call& call) { return tap_messages(services, call); });
}

}  // namespace penstock::api
