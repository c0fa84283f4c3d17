// /twins/{id}/label and /labels: QR codes to stick on machines and devices.

#include <iterator>

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/qr_code.h"
#include "api/render.h"
#include "api/routes.h"

namespace penstock::api {
namespace {

using access::Permission;

// An A4 sheet of 3 by 8 labels of 70 by 37 mm, as stationers sell them.
constexpr int kColumns = 3, kRows = 8;
constexpr double kWidthMm = 70, kHeightMm = 37.125;

struct Label {
  std::string title, subtitle, text;
};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<uint8_t>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

// The longest part that a label has room for, cut between characters.
std::string shortened(const std::string& text, size_t characters_max) {
  size_t characters = 0, at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) continue;
    if (++characters > characters_max) return text.substr(0, at) + "…";
  }
  return text;
}

Status append_label(std::string& svg, const Label& label, double x_mm, double y_mm) {
  TRY_ASSIGN(const QrCode code, qr_code(label.text));
  constexpr double kSide = 29, kQuiet = 4;
  const double module = kSide / (code.modules + 2 * kQuiet);
  fmt::format_to(std::back_inserter(svg),
                 "<g transform=\"translate({:.3f} {:.3f})\">"
                 "<path transform=\"translate({:.3f} {:.3f}) scale({:.5f})\" d=\"{}\"/>"
                 "<text x=\"33\" y=\"15\" font-size=\"4\" font-weight=\"600\">{}</text>"
                 "<text x=\"33\" y=\"20.5\" font-size=\"3\">{}</text></g>\n",
                 x_mm, y_mm, 3 + kQuiet * module, 4 + kQuiet * module, module, code.path,
                 escaped(shortened(label.title, 16)), escaped(shortened(label.subtitle, 24)));
  return {};
}

Result<Response> sheet(const std::vector<Label>& labels, double width_mm, double height_mm) {
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}mm\" height=\"{1}mm\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n",
      width_mm, height_mm);
  for (size_t i = 0; i < labels.size(); ++i)
    TRY(append_label(svg, labels[i], static_cast<double>(i % kColumns) * kWidthMm,
                     static_cast<double>(i / kColumns) * kHeightMm));
  svg += "</svg>\n";
  Response response = Response::text(std::move(svg), "image/svg+xml");
  response.set("cache-control", "no-store");  // a claim code may stand there
  return response;
}

// Where people find this server: as they were told to in ?base=, else as they asked just now.
Result<std::string> base_of(const Request& request) {
  std::string base(request.query_value("base").value_or(""));
  if (base.empty()) {
    base = fmt::format("{}://{}", request.tls ? "https" : "http", request.header("host"));
  }
  while (base.ends_with('/')) base.pop_back();
  if ((!base.starts_with("http://") && !base.starts_with("https://")) || base.size() > 300)
    return fail(ErrorCode::kInvalidArgument, "is the page's address, such as https://plant.example",
                "base");
  return base;
}

Result<Response> twin_label(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kReadTwins, call.parameter("id")));
  TRY_ASSIGN(const std::string base, base_of(call.request));
  const auto site = services.twins.site(twin->site);
  const Label label{twin->display_name, site ? site->display_name : twin->site_name,
                    base + "/#/twins/" + twin->name};
  return sheet({label}, kWidthMm, kHeightMm);
}

Result<Response> many_labels(const Services&, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  const Json items = body.any("items");
  if (!items.is_array() || items.empty() || items.size() > size_t{kColumns} * kRows)
    body.complain("items", fmt::format("is a list of 1 to {} labels, one sheet", kColumns * kRows));
  TRY(body.done());
  std::vector<Label> labels;
  for (const Json& item : items) {
    if (!item.is_object())
      return fail(ErrorCode::kInvalidArgument, "must be a list of objects", "items");
    BodyReader one(item, fmt::format("items[{}].", labels.size()));
    labels.push_back(
        {one.text("title", 200), one.optional_text("subtitle", 200), one.text("text", 1000)});
    TRY(one.done());
  }
  return sheet(labels, kColumns * kWidthMm, kRows * kHeightMm);
}

}  // namespace

void add_label_routes(Router& router, const Services& services) {
  add_route(router, Method::kGet, "/twins/{id}/label", Permission::kReadTwins,
            [services](const Call& call) { return twin_label(services, call); });
  add_route(router, Method::kPost, "/labels", Permission::kReadTwins,
            [services](const Call& call) { return many_labels(services, call); });
}

}  // namespace penstock::api
