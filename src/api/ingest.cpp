// Samples over HTTP: /ingest, and the addresses that Telegraf and OpenTelemetry know. Devices and
// applications show their own credentials here, not those of people.

#include "interop/http/ingest.h"

#include <sodium.h>

#include "api/http/gzip.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/identity.h"

namespace penstock::api {
namespace {

using interop::http::Format;
using interop::http::IngestAnswer;
using interop::http::IngestRequest;

constexpr size_t kBodyBytesMax = 16U << 20;
constexpr size_t kInflatedBytesMax = 64U << 20;

std::string from_base64(std::string_view text) {
  std::string out(text.size(), '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(),
                        text.size(), nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL) != 0)
    return {};
  out.resize(size);
  return out;
}

/// Bearer and Token (InfluxDB 2) carry a token; Basic and ?u=&p= (InfluxDB 1) a name with it.
Result<twin::DeviceIdentity> who_sends(const Services& services, const Request& request) {
  const std::string_view authorization = request.header("authorization");
  std::string user(request.query_value("u").value_or(""));
  std::string secret(request.query_value("p").value_or(""));
  if (authorization.starts_with("Bearer ")) secret = authorization.substr(7);
  if (authorization.starts_with("Token ")) secret = authorization.substr(6);
  if (authorization.starts_with("Basic ")) {
    const std::string pair = from_base64(authorization.substr(6));
    user = pair.substr(0, pair.find(':'));
    secret = pair.size() > user.size() ? pair.substr(user.size() + 1) : "";
  }
  const auto found = services.identities.check_slowly({user, secret, {}, request.peer_address});
  if (found) return *found;
  switch (found.error()) {
    case twin::Denial::kDisabled:
      return fail(ErrorCode::kPermissionDenied, "this device is switched off", user);
    case twin::Denial::kTooManyAttempts:
      return fail(ErrorCode::kResourceExhausted, "too many attempts: wait", user);
    default:
      return fail(ErrorCode::kUnauthenticated,
                  "send a device's token: Authorization: Bearer pst_…");
  }
}

bool starts(std::string_view text, std::string_view with) { return text.starts_with(with); }

Result<Format> format_of(std::string_view type) {
  if (starts(type, "application/x-ndjson") || starts(type, "application/jsonl") ||
      starts(type, "application/json-lines"))
    return Format::kJsonLines;
  if (starts(type, "application/json") || type.empty()) return Format::kJson;
  if (starts(type, "text/csv")) return Format::kCsv;
  if (starts(type, "text/plain") || starts(type, "application/vnd.influx"))
    return Format::kInfluxLine;
  return fail(ErrorCode::kInvalidArgument,
              "send application/json, application/x-ndjson, text/csv or text/plain (line protocol)",
              std::string(type.substr(0, 80)));
}

Result<IngestAnswer> take(const Services& services, const Request& request, Format format,
                          std::string_view device) {
  TRY_ASSIGN(const auto who, who_sends(services, request));
  std::string inflated;
  std::string_view body = request.body;
  if (const auto encoding = request.header("content-encoding");
      encoding == "gzip" || encoding == "deflate") {
    TRY_ASSIGN(inflated, gunzip(body, kInflatedBytesMax));
    body = inflated;
  } else if (!encoding.empty() && encoding != "identity") {
    return fail(ErrorCode::kInvalidArgument, "send the body as it is, or with gzip",
                "Content-Encoding");
  }
  IngestRequest one{.format = format,
                    .body = body,
                    .device = device,
                    .line = {},
                    .idempotency_key = request.header("idempotency-key"),
                    .sender = who};
  const auto precision =
      interop::http::nanos_of_precision(request.query_value("precision").value_or(""));
  if (!precision)
    return fail(ErrorCode::kInvalidArgument, "precision is ns, us, ms, s, m or h", "precision");
  one.line.precision_ns = *precision;
  one.line.device_tag = request.query_value("device_tag").value_or("device");
  return services.ingest_http.take(one);
}

Result<Response> ingest(const Services& services, const Call& call, std::string_view device) {
  TRY_ASSIGN(const Format format, format_of(call.request.header("content-type")));
  TRY_ASSIGN(const IngestAnswer answer, take(services, call.request, format, device));
  // Nothing of it was right: a program that looks at the status only must learn of it.
  const bool useless = answer.accepted == 0 && answer.discovered == 0 && answer.refused_rows > 0;
  return Response::text(interop::http::to_json_text(answer), "application/json",
                        useless ? 422 : 200);
}

// -- InfluxDB: 204, or {"code", "message"}

Response influx_error(int status, std::string_view code, std::string_view message) {
  return Response::json({{"code", code}, {"message", message}}, status);
}

Response influx_error(const Error& error) {
  const int status = http_status(error.code);
  const char* code = status == 401   ? "unauthorized"
                     : status == 403 ? "forbidden"
                     : status == 429 ? "too many requests"
                     : status == 503 ? "unavailable"
                     : status < 500  ? "invalid"
                                     : "internal error";
  Response response = influx_error(status, code, error.text());
  if (status == 429 || status == 503) response.set("retry-after", "5");
  return response;
}

Result<Response> influx(const Services& services, const Call& call) {
  const auto answer = take(services, call.request, Format::kInfluxLine, {});
  if (!answer) return influx_error(answer.error());
  if (answer->refused_rows == 0) return Response::no_content();
  // The right lines are stored, as InfluxDB does it; 400 tells the sender not to try the wrong ones
  // again.
  std::string message = "partial write: " + std::to_string(answer->refused_rows) + " of " +
                        std::to_string(answer->rows) + " lines refused";
  if (!answer->errors.empty())
    message += "; line " + std::to_string(answer->errors.front().first) + ": " +
               answer->errors.front().second;
  return influx_error(400, "invalid", to_valid_utf8(message));
}

// -- OTLP

std::string otlp_partial(uint64_t rejected, const std::string& why) {
  const auto varint = [](std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
  };
  std::string inner = "\x08";  // rejected_data_points
  varint(inner, rejected);
  inner += '\x12';  // error_message
  varint(inner, why.size());
  inner += why;
  std::string out = "\x0a";  // partial_success
  varint(out, inner.size());
  return out + inner;
}

Result<Response> otlp(const Services& services, const Call& call) {
  const bool json = starts(call.request.header("content-type"), "application/json");
  TRY_ASSIGN(const auto answer,
             take(services, call.request, json ? Format::kOtlpJson : Format::kOtlpProtobuf, {}));
  const std::string why = answer.errors.empty() ? "" : to_valid_utf8(answer.errors.front().second);
  if (json) {
    Json out = Json::object();
    if (answer.refused_rows > 0)
      out["partialSuccess"] = {{"rejectedDataPoints", std::to_string(answer.refused_rows)},
                               {"errorMessage", why}};
    return Response::json(out);
  }
  return Response::text(answer.refused_rows > 0 ? otlp_partial(answer.refused_rows, why) : "",
                        "application/x-protobuf");
}

}  // namespace

void add_ingest_routes(Router& router, const Services& services) {
  const RouteOptions options{
      .lane = Lane::kIngest, .body_bytes_max = kBodyBytesMax, .any_content = true};
  add_route(
      router, Method::kPost, "/ingest", std::nullopt,
      [services](const Call& call) { return ingest(services, call, {}); }, options);
  add_route(
      router, Method::kPost, "/ingest/{device}", std::nullopt,
      [services](const Call& call) { return ingest(services, call, call.parameter("device")); },
      options);
  const auto at_root = [&](std::string pattern,
                           Result<Response> (*handler)(const Services&, const Call&)) {
    Route route;
    route.method = Method::kPost;
    route.pattern = std::move(pattern);
    route.handler = [services, handler](const Call& call) { return handler(services, call); };
    route.lane = options.lane;
    route.body_bytes_max = options.body_bytes_max;
    route.any_content = true;
    router.add(std::move(route));
  };
  at_root("/write", influx);
  at_root("/api/v2/write", influx);
  at_root("/v1/metrics", otlp);
}

}  // namespace penstock::api
