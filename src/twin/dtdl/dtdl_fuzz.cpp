// Whatever bytes come as DTDL: errors or a model, never a crash, a hang or a model that does not
// hold together.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "twin/dtdl/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace penstock::twin::dtdl;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  ParseOptions options;
  options.undefined = static_cast<Undefined>(data[0] % 3);
  const ParseResult result = parse(std::span(&text, 1), options);
  for (const auto& [id, element] : result.model.elements) {
    CHECK(element.id == id);
    CHECK(find_class(element.type, element.version) != nullptr);
    for (const auto& [property, links] : element.objects)
      for (const Link& link : links) {
        CHECK(link.offset <= link.end && link.end <= text.size());
        if (result.valid()) CHECK(result.model.find(link.id) || find_element(link.id));
      }
  }
  for (const ParseError& error : result.errors) {
    CHECK(error.line >= 1 && error.column >= 1);
    CHECK(!error.text().empty());
  }
  return 0;
}
