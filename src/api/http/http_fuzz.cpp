// Whatever a client may send as target and body: decoding, routing and reading arguments never fall
// over.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/http/arguments.h"
#include "api/http/message.h"
#include "api/http/router.h"

using namespace penstock;
using namespace penstock::api;

namespace {

const Router& router() {
  static const Router kRouter = [] {
    Router made;
    for (const char* pattern : {"/api/v1/twins", "/api/v1/twins/{id}", "/api/v1/twins/{id}/history",
                                "/api/v1/twins/{id}/commands/{name}", "/metrics"}) {
      Route route;
      route.pattern = pattern;
      made.add(std::move(route));
    }
    return made;
  }();
  return kRouter;
}

void require(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto line = input.find('\n');
  Request request;
  if (parse_target(input.substr(0, line), request)) {
    require(request.path.front() == '/' && valid_utf8(request.path));
    const auto match = router().find(Method::kGet, request.raw_path);
    for (const auto& [key, value] : match.path) require(!value.empty());
    (void)query_boolean(request, "online");
    if (const auto page = Page::of(request)) {
      require(page->limit >= 1 && page->limit <= 1000);
      // What we give out as a cursor is what we take back.
      Request next;
      next.query = {{"cursor", encode_cursor(page->after)}};
      const auto again = Page::of(next);
      require(again && again->after == page->after);
    }
    if (const auto from = request.query_value("from"))
      (void)parse_time(*from, Timestamp::from_seconds(1'800'000'000), {});
  }
  require(valid_utf8(to_valid_utf8(input)));
  if (line == std::string_view::npos) return 0;
  request.body = std::string(input.substr(line + 1));
  if (auto body = BodyReader::of(request)) {
    (void)body->text("name", 63);
    (void)body->maybe_number("limit");
    (void)body->maybe_integer("days", 1, 10);
    (void)body->maybe_boolean("enabled");
    (void)body->maybe_texts("sites", 10);
    (void)body->any("scope");
    if (const auto done = body->done(); !done) require(valid_utf8(problem(done.error(), "r").body));
  }
  return 0;
}
