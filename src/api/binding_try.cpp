// /bindings/try: what a document makes of a payload. Nothing is stored.

#include <sodium.h>

#include "api/http/arguments.h"
#include "api/protocols.h"
#include "api/render.h"
#include "api/routes.h"
#include "base/io.h"
#include "twin/binding.h"
#include "twin/registry.h"

namespace penstock::api {
namespace {

using access::Permission;

// The payload as text, or as bytes in hexadecimal or base64.
Result<std::string> payload_of(BodyReader& body) {
  std::string payload = body.optional_text("payload", 1 << 20);
  std::string hex = body.optional_text("payload_hex", 2 << 20);
  const std::string base64 = body.optional_text("payload_base64", 2 << 20);
  if (hex.empty() && base64.empty()) return payload;
  std::string bytes(std::max(hex.size(), base64.size()), '\0');
  auto* const out = reinterpret_cast<unsigned char*>(bytes.data());
  size_t size = 0;
  const int failed =
      hex.empty()
          ? sodium_base642bin(out, bytes.size(), base64.data(), base64.size(), "\r\n ", &size,
                              nullptr, sodium_base64_VARIANT_ORIGINAL)
          : sodium_hex2bin(out, bytes.size(), hex.data(), hex.size(), " :\r\n", &size, nullptr);
  if (failed != 0)
    return fail(ErrorCode::kInvalidArgument,
                "the payload's bytes are not written as they should be",
                hex.empty() ? "payload_base64" : "payload_hex");
  bytes.resize(size);
  return bytes;
}

Json json_of(const std::string& text) {
  auto read = parse_json(text);
  return text.empty() || !read ? Json() : std::move(*read);
}

Result<Response> try_binding(const Services& services, const stream::ReportReaders& readers,
                             const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const Json document = body.any("document");
  const std::string topic = body.optional_text("topic", 1024);
  const std::string model_id = body.optional_text("model", 2048);
  TRY_ASSIGN(const std::string payload, payload_of(body));
  TRY(body.done());
  TRY_ASSIGN(const auto parsed, twin::parse_binding(document));
  TRY_ASSIGN(const auto model, services.twins.model(call.principal.organisation,
                                                    model_id.empty() ? parsed.model : model_id));
  TRY_ASSIGN(const auto tried,
             stream::try_binding(parsed, *model, topic, payload, services.clock.now(), readers));
  Json values = Json::array();
  for (const auto& value : tried.values)
    values.push_back({{"address", to_valid_utf8(value.address)},
                      {"wire", json_of(to_valid_utf8(value.wire))},
                      {"element", text_or_null(value.element)},
                      {"stored", json_of(to_valid_utf8(value.stored))},
                      {"unit", text_or_null(value.unit)},
                      {"quality", twin::name(value.quality)},
                      {"time", time_or_null(value.time)},
                      {"reason", text_or_null(value.reason)}});
  return Response::json({{"device", text_or_null(tried.device)},
                         {"reason", text_or_null(tried.reason)},
                         {"about", text_or_null(to_valid_utf8(tried.about))},
                         {"values", std::move(values)}});
}

}  // namespace

void add_binding_try_routes(Router& router, const Services& services, const Protocols& protocols) {
  add_route(
      router, Method::kPost, "/bindings/try", Permission::kReadDevices,
      [services, readers = protocols.report_readers](const Call& call) {
        return try_binding(services, readers, call);
      },
      RouteOptions{.body_bytes_max = 8U << 20});
}

}  // namespace penstock::api
