#include "interop/http/json_rows.h"

#include <simdjson.h>

#include "base/quoted.h"

namespace penstock::interop::http {
namespace {

namespace dom = simdjson::dom;
constexpr size_t kDepthMax = 64;

// An object with a device: the rest of it as telemetry. Nothing: it names none.
std::optional<Row> row_of(dom::element element, uint32_t number, Rows& out) {
  dom::object object;
  std::string_view device;
  if (element.get_object().get(object) || object.at_key("device").get_string().get(device))
    return std::nullopt;
  std::string payload = "{";
  for (const auto& [key, value] : object) {
    if (key == "device") continue;
    if (payload.size() > 1) payload += ',';
    append_quoted(payload, key);
    payload += ':';
    payload += simdjson::minify(dom::element(value));
  }
  payload += '}';
  Row row;
  row.number = number;
  row.device = out.keep(std::string(device));
  row.payload = out.keep(std::move(payload));
  return row;
}

}  // namespace

Status parse_json_rows(std::string_view body, const RowLimits& limits, Rows& out) {
  dom::parser parser;
  if (parser.allocate(std::max<size_t>(body.size(), 64), kDepthMax) != simdjson::SUCCESS)
    return fail(ErrorCode::kResourceExhausted, "there is no memory to read this body");
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root))
    return fail(ErrorCode::kInvalidArgument, "the body is no JSON");
  dom::array many;
  if (root.get_array().get(many)) {
    if (auto row = row_of(root, 1, out))
      out.rows.push_back(*row);
    else
      out.rows.push_back({1, {}, 0, 0, body});
    return {};
  }
  // All name a device, or none does.
  uint32_t number = 0;
  bool named = false;
  for (const dom::element each : many) {
    ++number;
    auto row = row_of(each, number, out);
    if (number == 1) named = row.has_value();
    if (!named) break;
    if (!row)
      out.refuse(number, "the object has no \"device\", unlike the first one", limits);
    else if (out.rows.size() >= limits.rows_max)
      out.refuse(number, "too many rows in one request", limits);
    else
      out.rows.push_back(*row);
  }
  if (!named) out.rows.push_back({1, {}, 0, 0, body});
  return {};
}

void parse_json_lines(std::string_view body, const RowLimits& limits, Rows& out) {
  dom::parser parser;
  for (uint32_t number = 1; !body.empty(); ++number) {
    const size_t end = std::min(body.find('\n'), body.size());
    std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    while (!line.empty() && static_cast<unsigned char>(line.back()) <= ' ') line.remove_suffix(1);
    if (line.empty()) continue;
    if (out.rows.size() >= limits.rows_max) {
      out.refuse(number, "too many rows in one request", limits, line);
      continue;
    }
    dom::element root;
    dom::object object;
    if (parser.parse(line.data(), line.size()).get(root) || root.get_object().get(object)) {
      out.refuse(number, "the line is no JSON object", limits, line);
      continue;
    }
    if (auto row = row_of(root, number, out))
      out.rows.push_back(*row);
    else
      out.rows.push_back({number, {}, 0, 0, line});
  }
}

}  // namespace penstock::interop::http
